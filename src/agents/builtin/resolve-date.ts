import { z } from "zod"
import { TerminalError } from "../../errors.js"
import { defineTool } from "../tools/define-tool.js"
import { inNode } from "../tools/in-node.js"
import { nodeServices } from "../tools/node-services.js"
import type { Tool } from "../tools/tool.js"
import { civilAt, instantOf, isTimeZone, offsetMs } from "./civil-time.js"
import { DATE_GRAMMAR, parseDate } from "./date-grammar.js"
import { type BuiltinOptions, checkKnown, common, wrong } from "./options.js"

/** Options of {@link resolveDate}. */
export interface ResolveDateOptions<Name extends string = string> extends BuiltinOptions<Name> {
  /** Where calendars and clocks are looked at, unless a call says otherwise: `Europe/Berlin`. Default `UTC`. */
  readonly timeZone?: string
}

/** A point in time. */
export interface ResolvedDate {
  /** With the offset of its time zone: `2026-11-27T09:00:00+01:00`. */
  readonly local: string
  /** `2026-11-27T08:00:00.000Z`. */
  readonly utc: string
  readonly weekday: string
  readonly timeZone: string
}

const Input = z.object({
  expression: z.string().describe(`One of: ${DATE_GRAMMAR}`),
  timeZone: z.string().optional().describe("Such as Europe/Berlin"),
})

/** With an offset or `Z` it says all by itself. */
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})$/i

/**
 * A tool that says which point in time is meant: "next friday 9:00", "in 3 days". Now is when the step's event was stored,
 * the same on each attempt.
 *
 * @throws MurmurError `TOOL_OPTION`
 * @example
 * const when = resolveDate({ timeZone: "Europe/Berlin" })
 */
export function resolveDate<const Name extends string = "resolveDate">(
  options: ResolveDateOptions<Name> = {},
): Tool<NoInfer<Name>, z.input<typeof Input>, ResolvedDate> {
  checkKnown("resolveDate", options, ["timeZone"])
  const { name = "resolveDate" as Name, timeZone: usual = "UTC" } = options
  if (typeof usual !== "string" || !isTimeZone(usual)) {
    wrong(name, `timeZone must be one like Europe/Berlin, is ${JSON.stringify(usual)}`)
  }
  const tool = defineTool({
    name,
    description: options.description ?? "Says which date and time an expression in plain English means",
    input: Input,
    effect: "read",
    ...common(options),
    run: ({ expression, timeZone = usual }, ctx): ResolvedDate => {
      if (!isTimeZone(timeZone)) throw unknown(name, `there is no time zone ${JSON.stringify(timeZone.slice(0, 60))}`)
      const ms = instant(expression, nodeServices(name, ctx).stepTime.getTime(), timeZone)
      if (ms === undefined) {
        throw unknown(name, `${JSON.stringify(expression.slice(0, 100))} is none of: ${DATE_GRAMMAR}`)
      }
      return shown(ms, timeZone)
    },
  })
  return inNode(tool)
}

function instant(expression: string, nowMs: number, timeZone: string): number | undefined {
  const text = expression.trim()
  if (INSTANT.test(text)) {
    const ms = Date.parse(text)
    return Number.isNaN(ms) ? undefined : ms
  }
  // a date and a time are one word in ISO 8601
  const meaning = parseDate(text.replace(/^(\d{4}-\d{2}-\d{2})T/i, "$1 "), civilAt(nowMs, timeZone))
  if (meaning?.kind === "after") return nowMs + meaning.seconds * 1_000
  return meaning && instantOf(meaning.civil, timeZone)
}

function shown(ms: number, timeZone: string): ResolvedDate {
  const offset = offsetMs(ms, timeZone)
  const minutes = Math.abs(Math.round(offset / 60_000))
  const two = (count: number): string => String(count).padStart(2, "0")
  const sign = offset < 0 ? "-" : "+"
  const wall = new Date(ms + offset).toISOString().slice(0, 19)
  return {
    local: `${wall}${sign}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`,
    utc: new Date(ms).toISOString(),
    weekday: new Intl.DateTimeFormat("en", { weekday: "long", timeZone }).format(ms),
    timeZone,
  }
}

function unknown(tool: string, why: string): TerminalError {
  return new TerminalError(`Tool "${tool}" cannot say which date that is: ${why}`, { code: "TOOL_DATE" })
}
