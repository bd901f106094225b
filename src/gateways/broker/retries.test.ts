import { beforeEach, describe, expect, test } from "vitest"
import { ask, failure } from "../../../test/support/llm/ask.js"
import { answer, FakeGateway, fault, hang } from "../../../test/support/llm/fake-gateway.js"
import { ManualClock, settled } from "../../../test/support/llm/manual-clock.js"
import type { Broker } from "./broker.js"
import { createBroker } from "./create-broker.js"
import type { BrokerOptions } from "./options.js"

const ok = () => answer("ok")
let clock: ManualClock
let gateway: FakeGateway

beforeEach(() => {
  clock = new ManualClock()
  gateway = new FakeGateway()
})

function brokerWith(options: Partial<BrokerOptions> = {}): Broker {
  return createBroker({ gateways: [gateway], clock, random: () => 1, circuit: { failures: 1_000 }, ...options })
}

describe("a request that failed", () => {
  test.each([408, 409, 500, 502, 503, 529, undefined])("is sent again after status %s", async (status) => {
    gateway.reply(fault(status), ok)
    const asked = ask(brokerWith())
    await clock.pass(1_000)
    expect(await asked).toMatchObject({ message: { content: "ok" }, tries: 2, cached: false, answeredBy: "fake/m" })
  })

  test.each([400, 401, 403, 404, 413, 422])("is not sent again after status %s", async (status) => {
    gateway.reply(fault(status), ok)
    const error = await failure(ask(brokerWith()))
    expect(error.name).toBe("TerminalError")
    expect(gateway.requests).toHaveLength(1)
  })

  test("is sent four times in all, each wait up to twice as long as the last", async () => {
    gateway.reply(fault(500))
    const times: number[] = []
    const gone = failure(ask(brokerWith({ telemetry: telemetryNoting(times) })))
    await clock.pass(60_000)
    expect(await gone).toMatchObject({ code: "LLM_UNAVAILABLE", name: "RetryableError" })
    expect(gateway.requests).toHaveLength(4)
    expect(times).toEqual([500, 1_000, 2_000])
  })

  test("is not sent again when the deadline would be over by then", async () => {
    gateway.reply(fault(500), ok)
    const error = await failure(ask(brokerWith(), "Hello", { call: { deadlineMs: clock.now() + 400 } }))
    expect(error.code).toBe("LLM_UNAVAILABLE")
    expect(clock.pending).toBe(0)
  })

  test("is not sent again when its caller has gone meanwhile", async () => {
    gateway.reply(fault(500), ok)
    const caller = new AbortController()
    const gone = failure(ask(brokerWith(), "Hello", { call: { signal: caller.signal } }))
    await settled()
    caller.abort(new Error("not needed any more"))
    expect((await gone).message).toBe("not needed any more")
    expect(gateway.requests).toHaveLength(1)
    expect(clock.pending).toBe(0)
  })

  test("an error that is not about a model is not retried", async () => {
    gateway.reply(() => {
      throw new RangeError("a mistake")
    })
    expect(await failure(ask(brokerWith()))).toBeInstanceOf(RangeError)
    expect(gateway.requests).toHaveLength(1)
  })
})

describe("a provider that says when to come back", () => {
  test("is not asked before, and the wait counts as no try", async () => {
    gateway.reply(...Array.from({ length: 20 }, () => fault(429, { retryAfterMs: 3_000 })), ok)
    const asked = ask(brokerWith())
    await clock.pass(2_999)
    expect(gateway.requests).toHaveLength(1)
    await clock.pass(1)
    expect(gateway.requests).toHaveLength(2)
    await clock.pass(60_000)
    expect(await asked).toMatchObject({ tries: 21 })
  })

  test("is asked once per pause, however many calls wait", async () => {
    const asked: number[] = []
    const busyUntil = clock.now() + 20_000
    gateway.reply((request, call) => {
      asked.push(clock.now())
      return clock.now() < busyUntil ? fault(429, { retryAfterMs: 1_000 })(request, call) : answer("ok")
    })
    const broker = brokerWith()
    const first = ask(broker)
    await settled()
    const others = Array.from({ length: 50 }, () => ask(broker))
    await clock.pass(19_999)
    expect(asked).toHaveLength(20)
    for (const at of asked) expect(asked.filter((other) => other >= at && other < at + 1_000)).toHaveLength(1)
    await clock.pass(1)
    await Promise.all([first, ...others])
  })

  test("is asked by few when the pause is over, then by more and more", async () => {
    gateway.reply(fault(429, { retryAfterMs: 1_000 }), hang)
    const broker = brokerWith()
    const calls = Array.from({ length: 1 }, () => ask(broker).catch(() => {}))
    await clock.pass(999)
    calls.push(...Array.from({ length: 30 }, () => ask(broker).catch(() => {})))
    await clock.pass(1)
    expect(gateway.running).toBe(1)
    await broker.close()
    await Promise.all(calls)
  })

  test("is asked by more when nobody was turned away for two seconds, however long the answers take", async () => {
    gateway.reply(fault(429, { retryAfterMs: 1_000 }), hang)
    const broker = brokerWith()
    const calls = [ask(broker).catch(() => {})]
    await clock.pass(999)
    calls.push(...Array.from({ length: 100 }, () => ask(broker).catch(() => {})))
    await clock.pass(1)
    const running: number[] = []
    for (let waited = 0; waited < 7; waited++) {
      running.push(gateway.running)
      await clock.pass(2_000)
    }
    expect(running).toEqual([1, 2, 4, 16, 64, 64, 64])
    await broker.close()
    await Promise.all(calls)
  })

  test("has failed when it says to come back at once", async () => {
    gateway.reply(fault(429, { retryAfterMs: 0 }))
    const gone = failure(ask(brokerWith()))
    await clock.pass(60_000)
    expect((await gone).code).toBe("LLM_BUSY")
    expect(gateway.requests).toHaveLength(4)
  })

  test("is left after ten minutes in all", async () => {
    gateway.reply(fault(429, { retryAfterMs: 60_000 }))
    const gone = failure(ask(brokerWith()))
    await clock.pass(600_000)
    expect(await gone).toMatchObject({ code: "LLM_BUSY", retryAfterMs: 60_000 })
    expect(gateway.requests.length).toBeLessThanOrEqual(11)
    expect(clock.pending).toBe(0)
  })

  test("is not waited for when the deadline is before that", async () => {
    gateway.reply(fault(429, { retryAfterMs: 60_000 }))
    const broker = brokerWith()
    const first = await failure(ask(broker, "Hello", { call: { deadlineMs: clock.now() + 59_000 } }))
    expect(first).toMatchObject({ code: "LLM_BUSY", retryAfterMs: 60_000 })
    const second = await failure(ask(broker, "Hello", { call: { deadlineMs: clock.now() + 59_000 } }))
    expect(second).toMatchObject({ code: "LLM_BUSY", retryAfterMs: 60_000 })
    expect(gateway.requests).toHaveLength(1)
  })

  test("is kept to after a 503 too, which counts as a try", async () => {
    gateway.reply(fault(503, { retryAfterMs: 5_000 }))
    const broker = brokerWith()
    const gone = failure(ask(broker))
    await clock.pass(4_999)
    expect(gateway.requests).toHaveLength(1)
    expect(broker.status()[0]).toMatchObject({ untilMs: clock.now() + 1 })
    await clock.pass(60_000)
    expect((await gone).details).toMatchObject({ tried: [{ model: "fake/m", tries: 4 }] })
  })

  test("tells it to the limiter, so that other nodes keep to it", async () => {
    const held: unknown[] = []
    const limiter = {
      take: () => Promise.reject(new Error("there are no limits")),
      holdOff: (...told: unknown[]) => held.push(told),
      heldUntilMs: () => 0,
    }
    gateway.reply(fault(429, { retryAfterMs: 2_000 }), ok)
    await ask(brokerWith({ limiter }))
    expect(held).toEqual([["fake", "test", clock.now() + 2_000]])
  })
})

describe("an answer that does not come", () => {
  test("is given up after the request's own time, and asked for again", async () => {
    gateway.reply(hang, ok)
    const asked = ask(brokerWith(), "Hello", { options: { timeoutMs: 2_000 } })
    await clock.pass(1_999)
    expect(gateway.requests).toHaveLength(1)
    await clock.pass(2_000)
    expect(await asked).toMatchObject({ tries: 2 })
  })

  test("is given up after two minutes where nobody says otherwise", async () => {
    gateway.reply(hang)
    const gone = failure(ask(brokerWith({ retry: { tries: 1 } })))
    await clock.pass(119_999)
    expect(gateway.running).toBe(1)
    await clock.pass(1)
    expect(await gone).toMatchObject({ code: "LLM_TIMEOUT", name: "RetryableError" })
  })

  test("is given up at the caller's deadline", async () => {
    gateway.reply(hang)
    const gone = failure(ask(brokerWith(), "Hello", { call: { deadlineMs: clock.now() + 1_000 } }))
    await clock.pass(1_000)
    expect(await gone).toMatchObject({ code: "LLM_TIMEOUT" })
    expect(gateway.requests).toHaveLength(1)
  })

  test("is broken off when the caller goes, whether or not the gateway heeds it", async () => {
    gateway.reply(hang)
    const caller = new AbortController()
    const gone = failure(ask(brokerWith(), "Hello", { call: { signal: caller.signal } }))
    await settled()
    caller.abort(new Error("gone"))
    expect((await gone).message).toBe("gone")
    expect(clock.pending).toBe(0)
  })
})

/** Telemetry that notes the delays before further tries. */
function telemetryNoting(delays: number[]): NonNullable<BrokerOptions["telemetry"]> {
  const note = (fields: object): void => {
    if ("delayMs" in fields) delays.push(Number(fields.delayMs))
  }
  return {
    log: { debug: note, info: () => {}, warn: () => {}, error: () => {} },
    tracing: { enabled: false, start: () => expect.unreachable() },
    metrics: { enabled: false, count: () => {}, duration: () => {} },
  }
}
