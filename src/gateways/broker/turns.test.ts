import { beforeEach, describe, expect, test } from "vitest"
import { ask, failure } from "../../../test/support/llm/ask.js"
import { answer, FakeGateway, fault, Gate } from "../../../test/support/llm/fake-gateway.js"
import { ManualClock, settled } from "../../../test/support/llm/manual-clock.js"
import type { Broker, BrokerCall, Meter } from "./broker.js"
import { createBroker } from "./create-broker.js"
import type { BrokerOptions } from "./options.js"
import type { Draw, Permit, RateLimiter } from "./ports.js"

let clock: ManualClock
let gateway: FakeGateway
let gate: Gate

beforeEach(() => {
  clock = new ManualClock()
  gate = new Gate()
  gateway = new FakeGateway().reply(gate.reply)
})

function brokerWith(options: Partial<BrokerOptions> = {}): Broker {
  return createBroker({ gateways: [gateway], clock, random: () => 0, ...options })
}

/** Opens the gate again and again, until nobody waits; the texts in the order in which they were sent. */
async function order(): Promise<string[]> {
  for (await settled(); gate.waiting.length > 0; await settled()) gate.open()
  return gateway.requests.map(({ messages }) => String(messages.at(-1)?.content))
}

describe("calls that wait for a provider", () => {
  const oneAtATime = { limits: { fake: { concurrency: 1 } } }

  test("no more than the concurrency run at a time", async () => {
    const broker = brokerWith({ limits: { fake: { concurrency: 3 } } })
    const all = Array.from({ length: 10 }, () => ask(broker))
    await settled()
    expect(broker.status()).toMatchObject([{ running: 3, waiting: 7 }])
    await order()
    await Promise.all(all)
    expect(gateway.runningMost).toBe(3)
    expect(broker.status()).toMatchObject([{ running: 0, waiting: 0, calls: 10, failures: 0, circuit: "closed" }])
  })

  test("64 run at a time where nobody says otherwise", async () => {
    const all = Array.from({ length: 100 }, () => 0).map(() => 0)
    const broker = brokerWith()
    const calls = all.map(() => ask(broker))
    await settled()
    expect(gateway.running).toBe(64)
    await order()
    await Promise.all(calls)
  })

  test("go by priority, then by deadline, then by arrival", async () => {
    const broker = brokerWith(oneAtATime)
    const soon = clock.now() + 60_000
    const calls: [string, Partial<BrokerCall>][] = [
      ["running", {}],
      ["first", {}],
      ["second", {}],
      ["later deadline", { deadlineMs: soon + 1 }],
      ["deadline", { deadlineMs: soon }],
      ["low", { priority: -1, deadlineMs: soon }],
      ["high", { priority: 1 }],
    ]
    const all = calls.map(([text, call]) => ask(broker, text, { call }))
    expect(await order()).toEqual(["running", "high", "deadline", "later deadline", "first", "second", "low"])
    await Promise.all(all)
    expect(clock.pending).toBe(0)
  })

  test("one that has failed keeps its place", async () => {
    const broker = brokerWith({ ...oneAtATime, circuit: { failures: 100 } })
    const first = ask(broker, "first")
    await settled()
    const second = ask(broker, "second")
    const third = ask(broker, "third")
    try {
      fault(500)({ model: "m", messages: [], options: {} }, { signal: new AbortController().signal })
    } catch (error) {
      gate.refuse(error)
    }
    await settled()
    // The second has begun while the first waited its moment; then it is the first's turn, not the third's.
    await clock.pass(0)
    expect(await order()).toEqual(["first", "second", "first", "third"])
    await Promise.all([first, second, third])
  })

  test("one whose deadline passes fails at that moment", async () => {
    const broker = brokerWith(oneAtATime)
    const running = ask(broker, "running")
    const late = failure(ask(broker, "late", { call: { deadlineMs: clock.now() + 1_000 } }))
    await clock.pass(999)
    expect(broker.status()).toMatchObject([{ waiting: 1 }])
    await clock.pass(1)
    expect(await late).toMatchObject({ code: "LLM_TIMEOUT", name: "RetryableError" })
    await order()
    await running
    expect(gateway.requests).toHaveLength(1)
  })

  test("one whose deadline has passed before does not begin", async () => {
    const gone = await failure(ask(brokerWith(), "late", { call: { deadlineMs: clock.now() } }))
    expect(gone.code).toBe("LLM_TIMEOUT")
    expect(gateway.requests).toHaveLength(0)
  })

  test("one whose caller goes leaves its place", async () => {
    const broker = brokerWith(oneAtATime)
    const caller = new AbortController()
    const running = ask(broker, "running")
    const gone = failure(ask(broker, "gone", { call: { signal: caller.signal } }))
    const last = ask(broker, "last")
    await settled()
    caller.abort(new Error("gone"))
    expect((await gone).message).toBe("gone")
    expect(await order()).toEqual(["running", "last"])
    await Promise.all([running, last])
  })

  test("more than may wait are refused at once", async () => {
    const broker = brokerWith({ ...oneAtATime, waitingMax: 2 })
    const calls = Array.from({ length: 3 }, () => ask(broker))
    await settled()
    expect(await failure(ask(broker))).toMatchObject({ code: "LLM_QUEUE_FULL", name: "RetryableError" })
    await order()
    await Promise.all(calls)
  })
})

describe("limits", () => {
  test("no minute has more requests in it than the limit, and the most urgent goes when there is room", async () => {
    gateway.reply(() => answer("ok"))
    const broker = brokerWith({ limits: { fake: { requestsPerMinute: 2 } } })
    const all = ["a", "b", "c", "d", "e"].map((text) => ask(broker, text))
    await settled()
    expect(gateway.requests).toHaveLength(2)
    const urgent = ask(broker, "urgent", { call: { priority: 5 } })
    await clock.pass(61_000)
    expect(gateway.requests.map(({ messages }) => messages[0]?.content)).toEqual(["a", "b", "urgent", "c"])
    await clock.pass(61_000)
    await Promise.all([...all, urgent])
  })

  test("tokens are estimated before and corrected after", async () => {
    gateway.reply(() => answer("ok", { usage: { inputTokens: 100, outputTokens: 100 } }))
    const broker = brokerWith({ limits: { fake: { tokensPerMinute: 1_000 } } })
    const request = { options: { maxTokens: 400 } }
    const all = Array.from({ length: 6 }, () => ask(broker, "word ".repeat(40), request))
    await settled()
    // Each is estimated at some 460 and uses 200: the fourth is too much for the 400 that are left.
    expect(gateway.requests).toHaveLength(3)
    await clock.pass(61_000)
    await Promise.all(all)
  })

  test("a permit that comes too late for its call goes to the next, or lapses", async () => {
    const used: (number | string)[] = []
    const grants: ((permit: Permit) => void)[] = []
    const limiter: RateLimiter = {
      take: (_draw: Draw, _limits, signal) =>
        new Promise((grant, fail) => {
          grants.push(grant)
          signal.addEventListener("abort", () => fail(signal.reason), { once: true })
        }),
      holdOff: () => {},
      heldUntilMs: () => 0,
    }
    gateway.reply(() => answer("ok"))
    const broker = brokerWith({ limits: { fake: { tokensPerMinute: 1_000 } }, limiter })
    const caller = new AbortController()
    const gone = failure(ask(broker, "short", { call: { signal: caller.signal } }))
    const long = ask(broker, "a longer text ".repeat(20))
    await settled()
    caller.abort(new Error("gone"))
    await gone
    grants[0]?.({ used: (tokens) => used.push(tokens) })
    await settled()
    expect(used).toEqual([0])
    expect(gateway.requests).toHaveLength(0)
    grants[1]?.({ used: (tokens) => used.push(tokens) })
    await long
    expect(used).toEqual([0, 15])
  })

  test("a permit that has lapsed while a budget was reserved is given back, and another one taken", async () => {
    const told: unknown[] = []
    const permits = [{ lapsed: false }, { lapsed: false }]
    let taken = 0
    const limiter: RateLimiter = {
      take: async () => Object.assign(permits[taken++] ?? {}, { used: (tokens: number) => void told.push(tokens) }),
      holdOff: () => {},
      heldUntilMs: () => 0,
    }
    const meter: Meter = {
      active: true,
      reserve: async () => {
        if (permits[0] !== undefined) permits[0].lapsed = true
        return { settle: (spent) => void told.push(spent) }
      },
    }
    gateway.reply(() => answer("ok"))
    const broker = brokerWith({ limits: { fake: { requestsPerMinute: 5 } }, limiter })
    expect(await ask(broker, "", { call: { meter } })).toMatchObject({ tries: 1 })
    expect(told).toEqual(["nothing", 0, { tokens: 15, costMicroUsd: undefined }, 15])
    expect(gateway.requests).toHaveLength(1)
  })

  test("a permit that has lapsed before it is handed over goes to nobody", async () => {
    let takes = 0
    const limiter: RateLimiter = {
      take: async () => ({ used: () => {}, lapsed: takes++ < 3 }),
      holdOff: () => {},
      heldUntilMs: () => 0,
    }
    gateway.reply(() => answer("ok"))
    await ask(brokerWith({ limits: { fake: { requestsPerMinute: 5 } }, limiter }))
    expect(takes).toBe(4)
  })

  test("without limits the limiter is asked only by those who return after a pause", async () => {
    let takes = 0
    let heldUntilMs = 0
    const limiter: RateLimiter = {
      take: async () => {
        takes++
        return { used: () => {} }
      },
      holdOff: (_provider, _account, untilMs) => {
        heldUntilMs = untilMs
      },
      heldUntilMs: () => (heldUntilMs > clock.now() ? heldUntilMs : 0),
    }
    gateway.reply(fault(429, { retryAfterMs: 1_000 }), () => answer("ok"))
    const broker = brokerWith({ limiter, limits: { fake: { concurrency: 2 } } })
    const asked = ask(broker)
    await settled()
    expect(takes).toBe(0)
    await clock.pass(1_000)
    await asked
    expect(takes).toBe(1)
    await ask(broker)
    expect(takes).toBe(1)
  })

  test("a limiter that fails fails the call, and not the ones after it", async () => {
    let takes = 0
    const limiter: RateLimiter = {
      take: async () => {
        if (takes++ === 0) throw new Error("no connection")
        return { used: () => {} }
      },
      holdOff: () => {},
      heldUntilMs: () => 0,
    }
    gateway.reply(() => answer("ok"))
    const broker = brokerWith({ limits: { fake: { requestsPerMinute: 10 } }, limiter })
    expect((await failure(ask(broker))).message).toBe("no connection")
    await ask(broker)
  })

  test("a pause that another node was told of is kept to here", async () => {
    let heldUntilMs = clock.now() + 5_000
    const limiter: RateLimiter = {
      take: async () => ({ used: () => {} }),
      holdOff: () => {},
      heldUntilMs: () => (heldUntilMs > clock.now() ? heldUntilMs : 0),
    }
    gateway.reply(() => answer("ok"))
    const broker = brokerWith({ limiter })
    const asked = ask(broker)
    await clock.pass(4_000)
    heldUntilMs = clock.now() + 10_000
    await clock.pass(9_999)
    expect(gateway.requests).toHaveLength(0)
    await clock.pass(1)
    await asked
  })
})

describe("a broker that is closed", () => {
  test("refuses what comes, what waits and what runs", async () => {
    const broker = brokerWith({ limits: { fake: { concurrency: 1 } } })
    const running = failure(ask(broker, "running"))
    const waiting = failure(ask(broker, "waiting"))
    await settled()
    await broker.close()
    for (const gone of [running, waiting, failure(ask(broker))]) expect((await gone).code).toBe("LLM_CLOSED")
    expect(clock.pending).toBe(0)
    await broker.close()
  })
})
