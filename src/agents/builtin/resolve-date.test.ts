import { expect, test } from "vitest"
import { silentLog } from "../../telemetry/ports.js"
import type { NodeServices } from "../tools/node-services.js"
import { type ResolveDateOptions, type ResolvedDate, resolveDate } from "./resolve-date.js"

// a Saturday; 11:30 in Berlin
const NOW = "2026-11-21T10:30:15.000Z"

async function resolved(
  expression: string,
  options: ResolveDateOptions = {},
  now = NOW,
  timeZone?: string,
): Promise<ResolvedDate> {
  const tool = resolveDate(options)
  const node = { stepTime: new Date(now) } as NodeServices
  const signal = new AbortController().signal
  const ctx = { agent: "a", key: undefined, attempt: 1, idempotencyKey: "k", signal, log: silentLog, node }
  return (await tool.run(tool.input.parse({ expression, timeZone }), ctx)) as ResolvedDate
}
const local = async (...given: Parameters<typeof resolved>): Promise<string> =>
  (await resolved(...given)).local.slice(0, 16)

test.each([
  ["now", "2026-11-21T10:30"],
  ["today", "2026-11-21T00:00"],
  ["Tomorrow at 9", "2026-11-22T09:00"],
  ["9:15 tomorrow", "2026-11-22T09:15"],
  ["at 17:45", "2026-11-21T17:45"],
  ["noon", "2026-11-21T12:00"],
  ["tomorrow, midnight", "2026-11-22T00:00"],
  ["yesterday 11:59 pm", "2026-11-20T23:59"],
  ["the day after tomorrow at 12am", "2026-11-23T00:00"],
  ["day before yesterday 12 pm", "2026-11-19T12:00"],
  ["next friday 9:00", "2026-11-27T09:00"],
  ["Next  Friday", "2026-11-27T00:00"],
  ["saturday", "2026-11-21T00:00"],
  ["this saturday at 8 p.m.", "2026-11-21T20:00"],
  ["next saturday", "2026-11-28T00:00"],
  ["last saturday", "2026-11-14T00:00"],
  ["last friday", "2026-11-20T00:00"],
  ["on monday at 10am", "2026-11-23T10:00"],
  ["tue", "2026-11-24T00:00"],
  ["monday this week", "2026-11-16T00:00"],
  ["friday next week at 9", "2026-11-27T09:00"],
  ["sunday last week", "2026-11-15T00:00"],
  ["in 3 days", "2026-11-24T10:30"],
  ["in an hour", "2026-11-21T11:30"],
  ["in an hour and 30 minutes", "2026-11-21T12:00"],
  ["90 minutes from now", "2026-11-21T12:00"],
  ["two weeks ago", "2026-11-07T10:30"],
  ["in 3 months", "2027-02-21T10:30"],
  ["a year ago", "2025-11-21T10:30"],
  ["in 1 week, 2 days", "2026-11-30T10:30"],
  ["next week", "2026-11-28T00:00"],
  ["last month", "2026-10-21T00:00"],
  ["start of next month", "2026-12-01T00:00"],
  ["end of the month", "2026-11-30T23:59"],
  ["end of week", "2026-11-22T23:59"],
  ["beginning of last year", "2025-01-01T00:00"],
  ["2026-12-24", "2026-12-24T00:00"],
  ["2026-12-24 18:00", "2026-12-24T18:00"],
  ["2026-12-24T18:00", "2026-12-24T18:00"],
  ["27 November 2026", "2026-11-27T00:00"],
  ["27th of nov at 9:30am", "2026-11-27T09:30"],
  ["March 3rd", "2027-03-03T00:00"],
  ["24.12.2026", "2026-12-24T00:00"],
])("%s", async (expression, expected) => {
  expect(await local(expression)).toBe(expected)
})

test.each([
  ...["", "soon", "friday 25:00", "13pm", "2026-02-30", "31 june", "next", "in days", "in 3", "3 days", "the future"],
  ...[
    "in a month and 3 hours",
    "__proto__",
    "constructor",
    "friday 9:00 10:00",
    "in 5 days ago",
    "12:75",
    "x".repeat(1_000),
  ],
])("%j means nothing certain, and the error says what does", async (expression) => {
  await expect(resolved(expression)).rejects.toMatchObject({
    ...{ code: "TOOL_DATE", message: expect.stringContaining("next friday") },
  })
})

test("days are those of the time zone", async () => {
  expect(await resolved("tomorrow 9:00", { timeZone: "Europe/Berlin" })).toEqual({
    ...{ local: "2026-11-22T09:00:00+01:00", utc: "2026-11-22T08:00:00.000Z" },
    ...{ weekday: "Sunday", timeZone: "Europe/Berlin" },
  })
  expect(await local("today", { timeZone: "Pacific/Auckland" }, "2026-11-21T12:00:00Z")).toBe("2026-11-22T00:00")
  expect((await resolved("today", {}, NOW, "Asia/Kolkata")).local).toBe("2026-11-21T00:00:00+05:30")
  expect((await resolved("2026-11-21T10:00:00+02:00", { timeZone: "America/New_York" })).local).toBe(
    "2026-11-21T03:00:00-05:00",
  )
})

test("clocks that are changed are looked at as they are then", async () => {
  const timeZone = "Europe/Berlin"
  const before = "2026-03-28T11:00:00Z" // 12:00 on the day before
  expect((await resolved("in 1 day", { timeZone }, before)).utc).toBe("2026-03-29T10:00:00.000Z")
  expect((await resolved("in 24 hours", { timeZone }, before)).local).toBe("2026-03-29T13:00:00+02:00")
  expect((await resolved("tomorrow 2:30", { timeZone }, before)).local, "is skipped").toBe("2026-03-29T03:30:00+02:00")
  expect((await resolved("2026-10-25 2:30", { timeZone })).local, "is there twice").toBe("2026-10-25T02:30:00+02:00")
})

test("months that are shorter end earlier", async () => {
  expect(await local("in 1 month", {}, "2026-01-31T08:00:00Z")).toBe("2026-02-28T08:00")
  expect(await local("in 1 year", {}, "2028-02-29T08:00:00Z")).toBe("2029-02-28T08:00")
})

test("a time zone that there is not is refused", async () => {
  expect(() => resolveDate({ timeZone: "Mars/Base" })).toThrow(
    'timeZone must be one like Europe/Berlin, is "Mars/Base"',
  )
  await expect(resolved("now", {}, NOW, "Mars/Base")).rejects.toMatchObject({ code: "TOOL_DATE" })
  expect(() => resolveDate({ zone: "UTC" } as never)).toThrow('unknown option "zone"')
})
