import { expect, test } from "vitest"
import { RETRY_AFTER_MS_MAX, retryAfterMs } from "./retry-after.js"

const NOW = Date.parse("2026-03-01T12:00:00Z")
const read = (headers: Record<string, string>): number | undefined => retryAfterMs(new Headers(headers), NOW)

test.each([
  ["7", 7_000],
  ["0", 0],
  ["1.5", 1_500],
  ["Sun, 01 Mar 2026 12:00:30 GMT", 30_000],
  ["Sun, 01 Mar 2026 11:00:00 GMT", 0],
  ["999999999", RETRY_AFTER_MS_MAX],
  ["-3", 0],
  ["soon", undefined],
  ["", undefined],
])("Retry-After %j is %j ms", (text, ms) => {
  // A date of long ago is what JavaScript makes of a negative number.
  expect(read({ "retry-after": text })).toBe(ms)
})

test("takes the header in milliseconds first, where it can be read", () => {
  expect(read({ "retry-after-ms": "250", "retry-after": "1" })).toBe(250)
  expect(read({ "retry-after-ms": "250.4" })).toBe(251)
  expect(read({ "retry-after-ms": "soon", "retry-after": "1" })).toBe(1_000)
  expect(read({})).toBeUndefined()
})
