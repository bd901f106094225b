import { oneLine } from "./columns.js"

/** How bad it sounds. */
export type Tone = "bad" | "warning" | "plain"

/** What an event says, in a line. */
export interface Gist {
  /** One word that grades it, such as `high` or `failure`; may be empty. */
  readonly grade: string
  readonly tone: Tone
  readonly text: string
}

const TITLES = ["title", "summary", "message", "question", "text"]
const GRADES = ["severity", "level", "conclusion", "status"]
const TONES: readonly (readonly [Tone, readonly string[]])[] = [
  ["bad", ["alarm", "critical", "error", "failed", "failure", "fatal", "high", "startup_failure", "timed_out"]],
  ["warning", ["medium", "warn", "warning"]],
]
/** Names of fields that say little to a person. */
const TECHNICAL = /(^id|Id|Url|^url|[sS]ha\d*|[hH]ash|^root|^provider)$/
const TIMESTAMP = /^\d{4}-\d{2}-\d{2}T/
const TEXT_MAX = 60
/** A hash or a commit: its beginning is enough to tell it from others. */
const LONG_HEX = /^[0-9a-f]{32,}$/
const HEX_SHOWN = 7

/**
 * What an event's data says, for one line of a terminal: its title if it has one, else its small fields. Data may come
 * from anywhere, so nothing in it reaches the terminal as a control sequence.
 *
 * @param key what the line says already, and need not be said again
 */
export function gistOf(data: unknown, key: string | undefined): Gist {
  if (typeof data !== "object" || data === null || Array.isArray(data)) {
    return { grade: "", tone: "plain", text: oneLine(JSON.stringify(data) ?? "") }
  }
  const fields = data as Readonly<Record<string, unknown>>
  const grade = firstText(fields, GRADES)
  const title = firstText(fields, TITLES)
  const text = title === "" ? smallFields(fields, key, grade) : title
  return { grade, tone: toneOf(grade), text }
}

function firstText(fields: Readonly<Record<string, unknown>>, names: readonly string[]): string {
  for (const name of names) {
    const value = fields[name]
    if (typeof value === "string" && value.trim() !== "") return oneLine(value)
  }
  return ""
}

function toneOf(grade: string): Tone {
  return TONES.find(([, words]) => words.includes(grade))?.[0] ?? "plain"
}

/** Texts first, then hashes and numbers, then how many are in what is nested; what is long or for machines is left out. */
function smallFields(fields: Readonly<Record<string, unknown>>, key: string | undefined, grade: string): string {
  const ranked: string[][] = [[], [], []]
  for (const [name, value] of Object.entries(fields)) {
    if (value === key || value === grade || value === null || TECHNICAL.test(name)) continue
    if (typeof value === "string") {
      const text = LONG_HEX.test(value) ? value.slice(0, HEX_SHOWN) : oneLine(value)
      if (text.length > 0 && text.length <= TEXT_MAX && !TIMESTAMP.test(text) && !text.includes("://")) {
        ranked[LONG_HEX.test(value) ? 1 : 0]?.push(`${oneLine(name)}=${text}`)
      }
    } else if (typeof value === "object") {
      ranked[2]?.push(
        `${oneLine(name)}=${Array.isArray(value) ? "[" : "{"}${Object.keys(value).length}${Array.isArray(value) ? "]" : "}"}`,
      )
    } else ranked[1]?.push(`${oneLine(name)}=${String(value)}`)
  }
  return ranked.flat().join("  ")
}
