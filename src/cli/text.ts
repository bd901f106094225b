import { usdText } from "../agents/guards/limits.js"

// Controls (an escape sequence in an event could rewrite the terminal) and marks that reorder text on the screen.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNPRINTABLE_BUT_LINES = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g

const escaped = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`

/** Text from the mesh as it may go to a terminal or into a column: on one line, with controls written out. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped)
}

/** As {@link printable}, but several lines stay several lines. */
export function printableLines(text: string): string {
  return text.replace(UNPRINTABLE_BUT_LINES, escaped)
}

/** A text of at most `max` characters. */
export function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, Math.max(0, max - 1))}…`
}

/** JSON on one line, cut to `max` characters. */
export function shortJson(value: unknown, max: number): string {
  return cut(printable(JSON.stringify(value) ?? ""), max)
}

/** How long, for people: `850 ms`, `12.3 s`, `4 min`, `3 h`, `2 d`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`
  return `${Math.round(ms / 86_400_000)} d`
}

/** One or many: `1 event`, `2 events`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`
}

/** An amount of money, for people: `$12.30`; what is less than a cent in smaller parts: `$0.000450`. @param usd in US dollars */
export function dollars(usd: number): string {
  return usdText(Math.round(usd * 1_000_000))
}

/** What models were asked for, for people: `1200 tokens, $0.000450`; without a price the tokens alone. */
export function usageText(usage: {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly costMicroUsd?: number | undefined
}): string {
  const tokens = counted(usage.inputTokens + usage.outputTokens, "token")
  return usage.costMicroUsd === undefined ? tokens : `${tokens}, ${dollars(usage.costMicroUsd / 1_000_000)}`
}
