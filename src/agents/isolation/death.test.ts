import { expect, test } from "vitest"
import { RetryableError } from "../../errors.js"
import { causeOfDeath, type Death } from "./death.js"
import { ErrorOutput } from "./error-output.js"

const lived: Death = { agent: "a", memoryMbMax: 64, code: null, signal: null, crash: undefined, report: "" }

test.each([
  ["STEP_MEMORY", { signal: "SIGABRT", report: "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap" }],
  ["STEP_MEMORY", { signal: "SIGTRAP", report: "# Fatal JavaScript invalid size error 268435456" }],
  ["STEP_MEMORY", { signal: "SIGKILL", report: "FATAL ERROR: out of memory: the process takes 9 bytes" }],
  ["STEP_CRASHED", { code: 1, crash: new Error("thrown late") }],
  ["STEP_EXITED", { code: 0 }],
  ["STEP_EXITED", { code: 3 }],
  ["STEP_EXITED", { signal: "SIGKILL" }],
  ["STEP_EXITED", { signal: "SIGABRT", report: "FATAL ERROR: something else" }],
] as const)("a worker's end is a failed attempt that says why: %s %o", (code, death) => {
  const error = causeOfDeath({ ...lived, ...death })
  expect(error).toBeInstanceOf(RetryableError)
  expect(error.code).toBe(code)
})

test("a message names what ended it", () => {
  expect(causeOfDeath({ ...lived, code: 3 }).message).toContain("exit code 3")
  expect(causeOfDeath({ ...lived, signal: "SIGKILL" }).message).toContain("SIGKILL")
  expect(causeOfDeath({ ...lived, report: "FATAL ERROR: out of memory" }).message).toContain("64 MiB (memoryMbMax)")
  expect(causeOfDeath({ ...lived, code: 1, crash: new Error("thrown late") })).toMatchObject({
    message: expect.stringContaining("thrown late"),
    cause: { message: "thrown late" },
  })
})

test("what a worker writes is passed on, but for the last words of one that runs out of memory", () => {
  const passed: string[] = []
  const output = new ErrorOutput({ write: (text) => passed.push(text) })
  output.take(Buffer.from("a line of the handler\n"))
  expect(output.report).toBe("")
  output.take(Buffer.from("another\n\n<--- Last few GCs --->\n\n[1:0x1] 566 ms: Mark-Compact"))
  output.take(Buffer.from("\nFATAL ERROR: Reached heap limit\n"))
  output.take(Buffer.alloc(100_000, "x"))
  expect(passed).toEqual(["a line of the handler\n", "another\n\n"])
  expect(output.report).toContain("FATAL ERROR: Reached heap limit")
  expect(output.report.length).toBeLessThanOrEqual(8 * 1024)
})
