import type { MurmurEvent } from "./event.js"

/** The extension attribute that carries W3C baggage: `tenant=acme,tier=gold`. */
export const BAGGAGE = "baggage"

/** So many members of a baggage are handed on, the first ones: as many as the W3C asks everybody to take. */
export const BAGGAGE_MEMBERS_MAX = 64
/** So many characters (all of them ASCII) of a baggage are handed on. */
export const BAGGAGE_CHARS_MAX = 8_192

const NOTHING: Readonly<Record<string, string>> = Object.freeze({})
/** `key=value;property`: a token, and characters that need no escape. */
const MEMBER = /^([\w!#$%&'*+.^`|~-]+)[ \t]*=[ \t]*([!#-+\--:<-[\]-~]*)[ \t]*(?:;[\t\x20-~]*)?$/

/**
 * The baggage in a text, as much of it as may be handed on: whole members, without those that are malformed.
 *
 * @returns `undefined` when nothing is left
 */
export function boundBaggage(text: string): string | undefined {
  const members = [...membersOf(text)].map(([member]) => member)
  return members.length === 0 ? undefined : members.join(",")
}

/** Members with their keys and raw values, up to the bounds. */
function* membersOf(text: string): Generator<[member: string, key: string, value: string]> {
  let chars = -1
  let count = 0
  for (const part of text.slice(0, 4 * BAGGAGE_CHARS_MAX).split(",")) {
    const member = part.trim()
    const [, key, value] = MEMBER.exec(member) ?? []
    if (key === undefined || value === undefined) continue
    chars += member.length + 1
    count += 1
    if (chars > BAGGAGE_CHARS_MAX || count > BAGGAGE_MEMBERS_MAX) return
    yield [member, key, value]
  }
}

/** What an event's descendants inherit of its baggage. */
export function heritableBaggage({ extensions }: Pick<MurmurEvent, "extensions">): string | undefined {
  const found = extensions[BAGGAGE]
  if (typeof found !== "string" || found === "") return undefined
  return boundBaggage(found)
}

/** An event's baggage by key; empty when it has none. What anybody may have set, and so no authority for anything. */
export function baggageOf({ extensions }: Pick<MurmurEvent, "extensions">): Readonly<Record<string, string>> {
  const found = extensions[BAGGAGE]
  if (typeof found !== "string" || found === "") return NOTHING
  const entries = [...membersOf(found)].map(([, key, value]): [string, string] => [key, decoded(value)])
  return Object.freeze(Object.fromEntries(entries)) // defines own properties, so a key called __proto__ stays a key
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
