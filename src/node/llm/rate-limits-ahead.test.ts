import { expect, test } from "vitest"
import { Ahead, Grace, type Grant } from "./rate-limits-ahead.js"

const MINUTE_MS = 60_000
const grant = (more: Partial<Grant> = {}): Grant => {
  return { revision: 1, tokens: 10, since: 0, until: 500, probe: false, ...more }
}
const like = (requestsPerMinute?: number, tokensPerMinute?: number, tokens = 10) => {
  const limits = {
    ...(requestsPerMinute !== undefined && { requestsPerMinute }),
    ...(tokensPerMinute !== undefined && { tokensPerMinute }),
  }
  return { draw: { provider: "p", account: "a", tokens }, limits }
}
/** What is reserved by writes that follow one another quickly, beside one that is granted. */
function sizes(what: ReturnType<typeof like>, room: number, everyMs = 10): number[] {
  const ahead = new Ahead(MINUTE_MS)
  return Array.from({ length: 6 }, (_, n) => ahead.size(what, n * everyMs, 1, room))
}

test("more and more is reserved while calls come quickly, up to a tenth of a second's worth", () => {
  expect(sizes(like(6_000), 1_000)).toEqual([0, 1, 3, 7, 9, 9])
  expect(sizes(like(6_000), 1_000, 101)).toEqual([0, 0, 0, 0, 0, 0])
  expect(sizes(like(1_000), 1_000)).toEqual([0, 0, 0, 0, 0, 0])
})

test("tokens limit it as well, and so does the room that is left", () => {
  expect(sizes(like(6_000, 24_000), 1_000)).toEqual([0, 1, 3, 3, 3, 3])
  expect(sizes(like(undefined, 24_000), 1_000)).toEqual([0, 1, 3, 3, 3, 3])
  expect(sizes(like(6_000), 9)).toEqual([0, 1, 2, 2, 2, 2])
  expect(sizes(like(6_000), 0)).toEqual([0, 0, 0, 0, 0, 0])
})

test("what is reserved is for calls that are no larger, and lapses", () => {
  const ahead = new Ahead(MINUTE_MS)
  ahead.put(grant(), 3)
  expect(ahead.take(11)).toBeUndefined()
  expect(ahead.take(10)).toEqual(grant())
  expect(ahead.takeLapsed(500)).toBeUndefined()
  expect(ahead.takeLapsed(501)).toEqual({ grant: grant(), count: 2 })
  expect(ahead.take(1)).toBeUndefined()
  expect(ahead.takeBack()).toBeUndefined()
})

test("a slow bus is given more time, and a quick one less again", () => {
  const grace = new Grace(1_000)
  expect([grace.answered(500, grace.ms), grace.ms]).toEqual([true, 1_000])
  expect([grace.answered(501, grace.ms), grace.ms]).toEqual([false, 2_000])
  expect([grace.answered(1_000, grace.ms), grace.ms]).toEqual([true, 2_000])
  expect([grace.answered(3, grace.ms), grace.ms]).toEqual([true, 1_000])
  expect([grace.answered(3, grace.ms), grace.ms]).toEqual([true, 1_000])
  for (let n = 0; n < 20; n++) grace.answered(60_000, grace.ms)
  expect(grace.ms).toBe(30_000)
})
