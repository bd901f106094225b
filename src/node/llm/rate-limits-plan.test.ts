import { describe, expect, test } from "vitest"
import type { RateLimits } from "../../gateways/broker/ports.js"
import { type Plan, planFor } from "./rate-limits-plan.js"
import { type Hold, PROBE_MS, type Sent } from "./rate-limits-record.js"

const NOW = 1_800_000_000_000
const WINDOW_MS = 60_000
const NONE = { requests: 0, tokens: 0 }

/** Sent so long ago; it counts for a minute and a second. */
const sent = (agoMs: number, requests: number, tokens = 0): Sent => {
  return { revision: 1, at: NOW - agoMs, requests, tokens, graceMs: 1_000 }
}

interface Case {
  readonly sent?: readonly Sent[]
  readonly hold?: Hold
  readonly taken?: typeof NONE
}

function plan(tokens: number, limits: RateLimits, { sent = [], hold, taken = NONE }: Case = {}): Plan {
  const record = { revision: 1, sent, hold }
  return planFor({ tokens }, limits, { record, taken, nowMs: NOW, windowMs: WINDOW_MS })
}
const send = (room: number): Plan => ({ next: "send", room, probe: false })
const wait = (ms: number): Plan => ({ next: "wait", untilMs: NOW + ms })

test.each<[string, number, RateLimits, Case, Plan]>([
  ["without limits", 10, {}, { sent: [sent(0, 1e9, 1e9)] }, send(Infinity)],
  ["into an empty window", 0, { requestsPerMinute: 3 }, {}, send(3)],
  ["beside others", 0, { requestsPerMinute: 3 }, { sent: [sent(0, 2)] }, send(1)],
  ["beside what no longer counts", 0, { requestsPerMinute: 3 }, { sent: [sent(61_000, 3)] }, send(3)],
  ["by its tokens", 40, { tokensPerMinute: 100 }, {}, send(2)],
  ["by whichever is less", 40, { requestsPerMinute: 1, tokensPerMinute: 100 }, {}, send(1)],
  ["larger than the limit, alone", 500, { tokensPerMinute: 100 }, {}, send(1)],
])("a request fits %s", (_, tokens, limits, situation, expected) => {
  expect(plan(tokens, limits, situation)).toEqual(expected)
})

test.each<[string, number, RateLimits, Case, number]>([
  [
    "until the oldest no longer counts",
    0,
    { requestsPerMinute: 2 },
    { sent: [sent(9_000, 1), sent(5_000, 1)] },
    52_000,
  ],
  ["until enough of it does not", 0, { requestsPerMinute: 2 }, { sent: [sent(9_000, 1), sent(5_000, 2)] }, 56_000],
  ["for tokens", 60, { tokensPerMinute: 100 }, { sent: [sent(9_000, 0, 30), sent(5_000, 1, 40)] }, 52_000],
  ["for all of them, when it is too large", 200, { tokensPerMinute: 100 }, { sent: [sent(5_000, 1, 1)] }, 56_000],
  [
    "for what counts longest",
    0,
    { requestsPerMinute: 1 },
    { sent: [{ ...sent(9_000, 1), graceMs: 20_000 }, sent(5_000, 1)] },
    71_000,
  ],
  [
    "behind what is about to be written",
    0,
    { requestsPerMinute: 2 },
    { sent: [sent(9_000, 1)], taken: { requests: 1, tokens: 0 } },
    52_000,
  ],
])("a request waits %s", (_, tokens, limits, situation, waitMs) => {
  expect(plan(tokens, limits, situation)).toEqual(wait(waitMs))
})

describe("after the provider said when to come back", () => {
  const hold = (untilMs: number, probedAgoMs?: number): Hold => {
    const probedAt = probedAgoMs === undefined ? undefined : NOW - probedAgoMs
    return { fromMs: NOW - 90_000, untilMs: NOW + untilMs, probedAt }
  }

  test.each<[string, Hold, Plan]>([
    ["nobody asks before", hold(3_000), wait(3_000)],
    ["one asks then", hold(-1), { next: "send", room: 1, probe: true }],
    ["the others wait for its answer", hold(-2_000, 1_000), wait(PROBE_MS - 1_000 + 1)],
    ["they do not wait for ever", hold(-9_000, PROBE_MS + 1), send(10)],
    ["it is forgotten a window later", hold(-WINDOW_MS - 1), send(10)],
  ])("%s", (_, held, expected) => {
    expect(plan(0, { requestsPerMinute: 10 }, { hold: held })).toEqual(expected)
  })

  test("only one is sent by the write that probes", () => {
    expect(plan(0, {}, { hold: hold(-1), taken: { requests: 1, tokens: 0 } }).next).toBe("wait")
  })

  test("a probe keeps to the limits as well", () => {
    expect(plan(0, { requestsPerMinute: 1 }, { hold: hold(-1), sent: [sent(1_000, 1)] })).toEqual(wait(60_000))
  })
})
