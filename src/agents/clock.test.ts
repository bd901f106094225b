import { expect, test } from "vitest"
import { systemClock, waitAtMost } from "./clock.js"

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length

test("waiting at most so long ends with the work and leaves no timer behind, or with the time", async () => {
  const before = timers()
  await waitAtMost(systemClock, 600_000, Promise.resolve())
  await waitAtMost(systemClock, 600_000, Promise.reject(new Error("no"))).catch(() => {})
  await new Promise((resolve) => setImmediate(resolve))
  expect(timers()).toBe(before)
  await waitAtMost(systemClock, 1, new Promise(() => {}))
})
