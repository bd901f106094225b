import { expect, it } from "vitest"
import { Backoff } from "./backoff.js"

it("doubles from the shortest to the longest pause and starts over when all is well", () => {
  const backoff = new Backoff(100, 500, () => 0)
  expect([1, 2, 3, 4, 5].map(() => backoff.next())).toEqual([100, 200, 400, 500, 500])
  backoff.reset()
  expect(backoff.next()).toBe(100)
})

it("cuts each pause by at most a half, and stays finite for ever", () => {
  const backoff = new Backoff(100, 500, () => 0.999)
  expect(backoff.next()).toBe(50)
  for (let i = 0; i < 5_000; i++) backoff.next()
  expect(backoff.next()).toBe(250)
})
