import { MurmurError } from "../errors.js"
import type { EventDraft } from "./event.js"

const CONTROL = /\p{Cc}/u
const EXTENSION_NAME = /^[a-z0-9]{1,64}$/
/** Attributes of the envelope that are not the draft's to set, besides those that it has fields for. */
const RESERVED = new Set([
  ...["specversion", "id", "source", "type", "subject", "time", "data", "datacontenttype", "dataschema"],
  ...["correlationid", "causationid", "hops", "causalpath", "trust", "traceparent", "tracestate"],
])

/**
 * Checks what a draft says besides type, key and data: what passes here can be read by everybody who receives it.
 *
 * @throws MurmurError `EVENT_ID`, `EVENT_TIME`, `EVENT_SOURCE`, `EVENT_EXTENSION`
 */
export function checkDraft({ type, id, time, source, extensions }: EventDraft): void {
  if (id !== undefined && (typeof id !== "string" || id === "" || CONTROL.test(id))) {
    throw wrong(type, "EVENT_ID", `its id must be a text without control characters, is ${JSON.stringify(id)}`)
  }
  if (time !== undefined && (typeof time !== "string" || Number.isNaN(Date.parse(time)))) {
    throw wrong(type, "EVENT_TIME", `its time must be an RFC 3339 time, is ${JSON.stringify(time)}`)
  }
  if (source !== undefined && (typeof source !== "string" || source === "")) {
    throw wrong(type, "EVENT_SOURCE", `its source must be a URI reference, is ${JSON.stringify(source)}`)
  }
  if (extensions !== undefined) checkExtensions(type, extensions)
}

function checkExtensions(type: string, extensions: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(extensions)) {
    if (!EXTENSION_NAME.test(name) || RESERVED.has(name)) {
      const why = RESERVED.has(name) ? "is an attribute of the envelope" : "must be 1 to 64 of a-z and 0-9"
      throw wrong(type, "EVENT_EXTENSION", `the name of an extension ${why}, is ${JSON.stringify(name)}`)
    }
    if (typeof value !== "string" && typeof value !== "boolean" && !Number.isFinite(value)) {
      const found = value === null ? "null" : typeof value
      throw wrong(type, "EVENT_EXTENSION", `extension "${name}" must be a string, a number or a boolean, is ${found}`)
    }
  }
}

function wrong(type: string, code: string, why: string): MurmurError {
  return new MurmurError(`Cannot publish an event "${type}": ${why}`, { code, details: { type } })
}
