import { describe, expect, it } from "vitest"
import { z } from "zod"
import { recordSource } from "../../test/support/source-context.js"
import { defineEvent } from "../bus/define-event.js"
import { nextRuns, type ScheduleJob, schedule } from "./schedule.js"

const DayStarted = defineEvent("clock.day.started", z.object({ at: z.string() }))
const job = (cron: string, more: Partial<ScheduleJob> = {}): ScheduleJob => ({
  name: "morning",
  cron,
  event: (due) => DayStarted({ at: due.at.toISOString() }),
  ...more,
})
const define = (...jobs: ScheduleJob[]) => schedule("clock", { emits: [DayStarted], jobs })

describe("schedule", () => {
  it("hands its jobs to the server's clock and publishes one event a firing, with the firing's id and time", async () => {
    const source = define(job("0 0 7 * * *", { timeZone: "Europe/Berlin" }), job("@every 5m", { name: "often" }))
    const record = recordSource(source)
    const run = source.run?.(record.ctx)
    expect(record.schedules).toEqual([
      { name: "morning", expression: "0 0 7 * * *", timeZone: "Europe/Berlin" },
      { name: "often", expression: "@every 5m", timeZone: undefined },
    ])
    const at = new Date("2026-01-01T06:00:00Z")
    await record.fire("morning", at)
    await record.fire("morning", at)
    expect(record.published).toEqual([
      expect.objectContaining({
        type: "clock.day.started",
        id: `due-morning-${at.getTime()}`,
        time: "2026-01-01T06:00:00.000Z",
        data: { at: "2026-01-01T06:00:00.000Z" },
      }),
    ])
    expect(record.repeated).toHaveLength(1)
    record.stop()
    await run
  })

  // What the server accepts and refuses was asked of nats-server 2.15.1, expression by expression.
  it.each([
    "0 30 14 * * *",
    "0 0 0 ? * MON",
    "0 0/5 * * * *",
    "0 5/10 * * * *",
    "0 1-10/3 * * * *",
    "0 0 0 1,15 JAN-JUN *",
    "0 0 0 * * mon,WED,FRI",
    "0  0 0 * * *",
    "@yearly",
    "@midnight",
    "@hourly",
    "@every 1h30m",
    "@every 1.5h",
  ])("accepts %j, as the server does", (cron) => {
    expect(() => define(job(cron))).not.toThrow()
  })

  it.each([
    ["30 14 * * *", "5 fields"],
    ["0 0 0 * * * 2030", "7 fields"],
    ["0 0 0 * * 7", "Sunday must be 0"],
    ["0 0 0 * * 5-7", "Sunday must be 0"],
    ["0 0 0 L * *", "the server cannot read"],
    ["0 0 0 1W * *", "the server cannot read"],
    ["0 0 0 * * 1#2", "the server cannot read"],
    ["0 0 0 * * sunday", "the server cannot read"],
    ["0 0 0 * * FRI-MON", "cannot be read"],
    ["60 * * * * *", "cannot be read"],
    ["0 0 0 31 2 *", "never fires"],
    ["@Daily", "1 field"],
    ["@reboot", "1 field"],
    ["@every 500ms", "duration"],
    ["@every 1d", "duration"],
    ["@every 0s", "less than a second"],
    ["", "1 field"],
  ])("refuses %j when it is defined, as the server would when it is set", (cron, problem) => {
    expect(() => define(job(cron))).toThrow(problem)
    expect(() => define(job(cron))).toThrow('job "morning"')
  })

  it("refuses an unknown time zone, and any for an interval", () => {
    expect(() => define(job("0 0 7 * * *", { timeZone: "Mars/Olympus" }))).toThrow("cannot be read")
    expect(() => define(job("@every 5m", { timeZone: "Europe/Berlin" }))).toThrow("cannot have a time zone")
  })

  it("refuses jobs that are missing, misnamed, named alike or misspelt", () => {
    expect(() => define()).toThrow("jobs must be a list")
    expect(() => define(job("@daily", { name: "A b" }))).toThrow("Cannot name the job")
    expect(() => define(job("@daily"), job("@hourly"))).toThrow('two jobs are named "morning"')
    expect(() => define({ ...job("@daily"), timezone: "UTC" } as never)).toThrow('unknown option "timezone"')
    expect(() => define(job("@daily", { event: undefined as never }))).toThrow('needs a function "event"')
  })

  it("shows when a job fires next, across a change of the clocks", () => {
    const from = new Date("2026-03-28T12:00:00Z")
    const berlin = nextRuns({ name: "x", cron: "0 0 7 * * *", timeZone: "Europe/Berlin" }, 2, from)
    expect(berlin.map((at) => at.toISOString())).toEqual(["2026-03-29T05:00:00.000Z", "2026-03-30T05:00:00.000Z"])
    expect(nextRuns({ name: "x", cron: "@every 90s" }, 2, from).map((at) => at.toISOString())).toEqual([
      "2026-03-28T12:01:30.000Z",
      "2026-03-28T12:03:00.000Z",
    ])
    expect(nextRuns({ name: "x", cron: "@weekly" }, 1, from)[0]?.toISOString()).toBe("2026-03-29T00:00:00.000Z")
  })
})
