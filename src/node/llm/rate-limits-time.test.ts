import { expect, test } from "vitest"
import { ServerTime } from "./rate-limits-time.js"

const T0 = 1_800_000_000_000
function at(): { readonly clock: { ms: number; steady(): number }; readonly time: ServerTime } {
  const clock = { ms: 12_345, steady: () => clock.ms }
  return { clock, time: new ServerTime(clock) }
}

test("before anything was heard nothing has happened yet", () => {
  expect(at().time.now()).toBe(Number.NEGATIVE_INFINITY)
})

test("it goes on with the node's clock, a little slower, so that it is never late", () => {
  const { clock, time } = at()
  time.answer(T0)
  expect(time.now()).toBe(T0)
  clock.ms += 10_000
  expect(time.now()).toBe(T0 + 9_990)
})

test("what is heard puts it right, but old news do not set it back", () => {
  const { clock, time } = at()
  time.message(5, T0 - 3_600_000) // a record from an hour ago
  time.answer(T0)
  expect(time.now()).toBe(T0)
  clock.ms += 10_000
  time.message(6, T0 + 9_999)
  expect(time.now()).toBe(T0 + 9_999)
  time.message(5, T0)
  time.answer(T0 + 5_000)
  expect(time.now()).toBe(T0 + 9_999)
})

test("a server whose clock was set back is followed", () => {
  const { time } = at()
  time.message(5, T0)
  time.message(6, T0 - 60_000)
  expect(time.now()).toBe(T0 - 60_000)
})
