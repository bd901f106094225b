import { beforeEach, describe, expect, test } from "vitest"
import { ManualClock, settled } from "../../../test/support/llm/manual-clock.js"
import { LocalLimiter } from "./local-limiter.js"
import type { Permit, RateLimits } from "./ports.js"

let clock: ManualClock
let limiter: LocalLimiter
const never = (): AbortSignal => new AbortController().signal

beforeEach(() => {
  clock = new ManualClock()
  limiter = new LocalLimiter({ clock })
})

/** Takes, and notes when it was granted. */
function take(tokens: number, limits: RateLimits, granted: number[], signal = never()): Promise<Permit> {
  return limiter.take({ provider: "p", account: "a", tokens }, limits, signal).then((permit) => {
    granted.push(clock.now())
    return permit
  })
}

describe("requests", () => {
  test("no minute, wherever it begins, has more than the limit", async () => {
    const granted: number[] = []
    for (let request = 0; request < 200; request++) {
      void take(0, { requestsPerMinute: 30 }, granted)
      await clock.pass((request * 7_919) % 1_500)
    }
    await clock.pass(600_000)
    expect(granted).toHaveLength(200)
    for (const from of granted)
      expect(granted.filter((at) => at >= from && at < from + 60_000).length).toBeLessThanOrEqual(30)
  })

  test("they go in the order in which they came, and as early as they may", async () => {
    const order: number[] = []
    for (let request = 0; request < 5; request++) {
      void limiter
        .take({ provider: "p", account: "a", tokens: 0 }, { requestsPerMinute: 2 }, never())
        .then(() => order.push(request))
    }
    await settled()
    expect(order).toEqual([0, 1])
    await clock.pass(61_000)
    expect(order).toEqual([0, 1, 2, 3])
    await clock.pass(61_000)
    expect(order).toEqual([0, 1, 2, 3, 4])
  })

  test("accounts do not share a limit", async () => {
    await limiter.take({ provider: "p", account: "a", tokens: 0 }, { requestsPerMinute: 1 }, never())
    await limiter.take({ provider: "p", account: "b", tokens: 0 }, { requestsPerMinute: 1 }, never())
  })

  test("one that gives up leaves no timer and no gap", async () => {
    const granted: number[] = []
    await take(0, { requestsPerMinute: 1 }, granted)
    const giveUp = new AbortController()
    const first = take(0, { requestsPerMinute: 1 }, granted, giveUp.signal)
    const second = take(0, { requestsPerMinute: 1 }, granted)
    giveUp.abort(new Error("gone"))
    await expect(first).rejects.toThrow("gone")
    await clock.pass(61_000)
    await second
    expect(granted).toHaveLength(2)
    expect(clock.pending).toBe(0)
  })
})

describe("tokens", () => {
  test("no minute has more than the limit, and a correction makes room", async () => {
    const granted: number[] = []
    const permit = await take(900, { tokensPerMinute: 1_000 }, granted)
    void take(200, { tokensPerMinute: 1_000 }, granted)
    await settled()
    expect(granted).toHaveLength(1)
    permit.used(100)
    await settled()
    expect(granted).toHaveLength(2)
  })

  test("a request that used more than it said holds the next one up", async () => {
    const granted: number[] = []
    const permit = await take(100, { tokensPerMinute: 1_000 }, granted)
    permit.used(950)
    void take(100, { tokensPerMinute: 1_000 }, granted)
    await clock.pass(60_999)
    expect(granted).toHaveLength(1)
    await clock.pass(1)
    expect(granted).toHaveLength(2)
  })

  test("one that is larger than the limit goes alone", async () => {
    const granted: number[] = []
    await take(1, { tokensPerMinute: 10 }, granted)
    void take(50, { tokensPerMinute: 10 }, granted)
    await clock.pass(60_000)
    expect(granted).toHaveLength(1)
    await clock.pass(1_000)
    expect(granted).toHaveLength(2)
  })
})

test("who is held off waits, and the longest pause counts", async () => {
  const granted: number[] = []
  limiter.holdOff("p", "a", clock.now() + 5_000)
  limiter.holdOff("p", "a", clock.now() + 2_000)
  expect(limiter.heldUntilMs("p", "a")).toBe(clock.now() + 5_000)
  void take(0, {}, granted)
  await clock.pass(4_999)
  expect(granted).toHaveLength(0)
  await clock.pass(1)
  expect(granted).toHaveLength(1)
  expect(limiter.heldUntilMs("p", "a")).toBe(0)
})
