import { createRequire } from "node:module"
import { optionError, show } from "./options.js"
import type { CronSchedule } from "./source.js"

const require = createRequire(import.meta.url)

const SHORTHANDS: ReadonlyMap<string, string> = new Map([
  ["@yearly", "0 0 0 1 1 *"],
  ["@annually", "0 0 0 1 1 *"],
  ["@monthly", "0 0 0 1 * *"],
  ["@weekly", "0 0 0 * * 0"],
  ["@daily", "0 0 0 * * *"],
  ["@midnight", "0 0 0 * * *"],
  ["@hourly", "0 0 * * * *"],
])

/** One field as the server reads it: it knows neither `L`, `W`, `#` nor Sunday as 7. */
const FIELD = /^(?:\*|\?|(?:\d{1,2}|[A-Za-z]{3})(?:-(?:\d{1,2}|[A-Za-z]{3}))?)(?:\/\d{1,2})?$/
const DAY_OF_WEEK = 5
const UNITS_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000 }

/** When a schedule fires next, as plain functions of time: the server keeps the real one. */
export interface CronExpression {
  /** The next `count` times after `from`. Those of `@every` are counted from `from`, as the server counts them from when the schedule was set. */
  next(count: number, from: Date): Date[]
}

/**
 * Reads an expression as the server will, so that a mistake shows when the source is defined and not when it should fire.
 *
 * @throws MurmurError `SOURCE_OPTION` naming the schedule and what is wrong with it
 */
export function parseCron(source: string, schedule: CronSchedule): CronExpression {
  const wrong = (problem: string, cause?: unknown): Error =>
    optionError(
      source,
      `job "${schedule.name}" has the schedule ${show(schedule.expression)}, ${problem}. Wanted: six fields with seconds first ("0 30 14 * * MON-FRI"), @hourly, @daily, @weekly, @monthly, @yearly, or "@every 5m"`,
      cause,
    )
  if (typeof schedule.expression !== "string") throw wrong("which is no text")
  if (schedule.expression.startsWith("@every ")) return every(schedule, wrong)
  const fields = SHORTHANDS.get(schedule.expression) ?? schedule.expression
  checkFields(fields.trim().split(/\s+/), wrong)
  try {
    // Loaded when a schedule is defined, so that the command line starts without it.
    const { Cron } = require("croner") as typeof import("croner")
    // Sloppy ranges: `0/5` means "from 0, every 5", as it does for the server.
    const options = { mode: "6-part", timezone: schedule.timeZone ?? "UTC", sloppyRanges: true, paused: true } as const
    const cron = new Cron(fields, options)
    if (cron.nextRun() === null) throw new Error("it never fires")
    return { next: (count, from) => cron.nextRuns(count, from) }
  } catch (error) {
    throw wrong(`which cannot be read: ${error instanceof Error ? error.message : String(error)}`, error)
  }
}

function checkFields(fields: string[], wrong: (problem: string) => Error): void {
  if (fields.length !== 6) throw wrong(`which has ${fields.length} field${fields.length === 1 ? "" : "s"}`)
  for (const [index, field] of fields.entries()) {
    for (const part of field.split(",")) {
      if (!FIELD.test(part)) throw wrong(`of which the server cannot read ${show(field)}`)
      const days = part.split("/")[0]?.split("-") ?? []
      if (index === DAY_OF_WEEK && days.some((day) => Number(day) > 6)) throw wrong("where Sunday must be 0, not 7")
    }
  }
}

function every(schedule: CronSchedule, wrong: (problem: string) => Error): CronExpression {
  const duration = schedule.expression.slice("@every ".length).trim()
  if (!/^(?:\d+(?:\.\d+)?[hms])+$/.test(duration)) throw wrong("whose duration is not of the form 1h30m, 5m or 10s")
  if (schedule.timeZone !== undefined) throw wrong("which cannot have a time zone: an interval is the same everywhere")
  let ms = 0
  for (const [, amount, unit] of duration.matchAll(/(\d+(?:\.\d+)?)([hms])/g)) {
    ms += Number(amount) * (UNITS_MS[unit ?? ""] ?? 0)
  }
  if (ms < 1_000) throw wrong("which is less than a second")
  return { next: (count, from) => Array.from({ length: count }, (_, i) => new Date(from.getTime() + (i + 1) * ms)) }
}
