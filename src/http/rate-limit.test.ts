import { expect, it } from "vitest"
import { HttpProblem } from "./problem.js"
import { TokenBucket } from "./rate-limit.js"

function bucketAt(clock: { ms: number }, perSecond: number, burst: number) {
  const bucket = new TokenBucket({ perSecond, burst }, () => clock.ms)
  return {
    bucket,
    taken(tries: number): number {
      for (let taken = 0; taken < tries; taken++) {
        try {
          bucket.take()
        } catch {
          return taken
        }
      }
      return tries
    },
  }
}

it("lets a burst in, then the rate, and never saves up more than a burst", () => {
  const clock = { ms: 0 }
  const { taken } = bucketAt(clock, 10, 5)
  expect(taken(100)).toBe(5)
  clock.ms += 300
  expect(taken(100)).toBe(3)
  clock.ms += 3_600_000
  expect(taken(100)).toBe(5)
})

it("says when to come back", () => {
  const clock = { ms: 0 }
  const { bucket } = bucketAt(clock, 0.1, 1)
  bucket.take()
  try {
    bucket.take()
    expect.unreachable()
  } catch (error) {
    expect(error).toBeInstanceOf(HttpProblem)
    expect(error).toMatchObject({ status: 429, code: "RATE_LIMITED", headers: { "retry-after": "10" } })
  }
})

it("makes those after a large batch wait for it", () => {
  const clock = { ms: 0 }
  const { bucket, taken } = bucketAt(clock, 10, 5)
  bucket.take()
  bucket.owe(24)
  clock.ms += 2_000
  expect(taken(1)).toBe(0)
  clock.ms += 100
  expect(taken(100)).toBe(1)
})
