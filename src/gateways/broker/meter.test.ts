import { beforeEach, describe, expect, test } from "vitest"
import { ask, failure } from "../../../test/support/llm/ask.js"
import { answer, FakeGateway, fault, hang, type Reply } from "../../../test/support/llm/fake-gateway.js"
import { ManualClock, settled } from "../../../test/support/llm/manual-clock.js"
import { providerError, replyError } from "../errors.js"
import type { Broker, Estimate, Meter } from "./broker.js"
import { createBroker } from "./create-broker.js"

let clock: ManualClock
let gateway: FakeGateway
let broker: Broker
let told: unknown[]

/** Notes what it is told. */
const meter: Meter = {
  active: true,
  reserve: async (estimate: Estimate) => {
    told.push(estimate)
    return { settle: (spent) => told.push(spent) }
  },
}

beforeEach(() => {
  clock = new ManualClock()
  gateway = new FakeGateway()
  told = []
  const models = { "fake/m": { price: { inputUsd: 2, outputUsd: 10 }, outputTokens: 100_000 } }
  broker = createBroker({ gateways: [gateway], clock, random: () => 0, models, retry: { tries: 1 } })
})

describe("what a request costs", () => {
  test("is reserved before it from above, and settled after it with what it was", async () => {
    const answered = await ask(broker, "Hello", { call: { meter }, options: { maxTokens: 1_000 } })
    const [estimate, spent] = told as [Estimate, unknown]
    expect(estimate.model).toBe("fake/m")
    expect(estimate.tokens).toBeGreaterThanOrEqual(1_001)
    expect(estimate.tokens).toBeLessThan(1_100)
    expect(estimate.costMicroUsd).toBe((estimate.tokens - 1_000) * 2 + 10_000)
    expect(spent).toEqual({ tokens: 15, costMicroUsd: 70 })
    expect(answered.costMicroUsd).toBe(70)
  })

  test("is reserved for an answer of 4,096 tokens where the request does not say how long it may be", async () => {
    await ask(broker, "Hello", { call: { meter } })
    expect((told[0] as Estimate).tokens).toBeGreaterThan(4_096)
    expect((told[0] as Estimate).tokens).toBeLessThan(4_200)
  })

  test("is not known where nobody knows the price", async () => {
    const answered = await ask(broker, "Hello", { models: ["fake/other"], call: { meter } })
    expect(told).toMatchObject([{ costMicroUsd: undefined }, { tokens: 15, costMicroUsd: undefined }])
    expect(answered).not.toHaveProperty("costMicroUsd")
  })

  test("is reserved for each try, with the ones that failed settled before", async () => {
    broker = createBroker({ gateways: [gateway], clock, random: () => 0 })
    gateway.reply(fault(429), fault(500), () => answer("ok"))
    const asked = ask(broker, "Hello", { call: { meter } })
    await clock.pass(0)
    await asked
    expect(told.map((one) => (typeof one === "string" ? one : Object.keys(one as object)[0]))).toEqual([
      ...["model", "nothing", "model", "unknown", "model", "tokens"],
    ])
  })

  test("is not counted where nothing is", async () => {
    await ask(broker, "Hello", { call: { meter: { active: false, reserve: () => expect.unreachable() } } })
  })

  const refusedBy: [string, Reply][] = [
    ...[400, 401, 404, 429, 503].map((status): [string, Reply] => [`status ${status}`, fault(status)]),
    ["a refused connection", fault(undefined, { cause: Object.assign(new Error("no"), { code: "ECONNREFUSED" }) })],
    [
      "a refused connection that a gateway tells of",
      ({ model }) => {
        throw providerError({
          provider: "fake",
          model,
          status: undefined,
          message: "ECONNREFUSED: connect 127.0.0.1:1",
        })
      },
    ],
    [
      "a name that is not found",
      fault(undefined, {
        cause: new Error("fetch failed", { cause: Object.assign(new Error("no"), { code: "ENOTFOUND" }) }),
      }),
    ],
  ]
  test.each(refusedBy)("is nothing after %s", async (_, reply) => {
    gateway.reply(reply)
    await failure(ask(broker, "Hello", { call: { meter } }))
    expect(told[1]).toBe("nothing")
  })

  const lostIn: [string, Reply][] = [
    ...[408, 500, 502, 504].map((status): [string, Reply] => [`status ${status}`, fault(status)]),
    ["a reset", fault(undefined, { cause: Object.assign(new Error("no"), { code: "ECONNRESET" }) })],
    [
      "an answer that cannot be read",
      () => {
        throw replyError("fake", "m", "cut")
      },
    ],
    ["no answer in time", hang],
  ]
  test.each(lostIn)("is unknown after %s", async (_, reply) => {
    gateway.reply(reply)
    const gone = failure(ask(broker, "Hello", { call: { meter } }))
    await clock.pass(120_000)
    await gone
    expect(told[1]).toBe("unknown")
  })

  test("is unknown when the caller goes while it runs", async () => {
    gateway.reply(hang)
    const caller = new AbortController()
    const gone = failure(ask(broker, "Hello", { call: { meter, signal: caller.signal } }))
    await settled()
    caller.abort(new Error("gone"))
    await gone
    expect(told[1]).toBe("unknown")
  })

  test("has happened when the answer is too large to be kept", async () => {
    gateway.reply(() => answer("x".repeat(600_000)))
    expect((await failure(ask(broker, "Hello", { call: { meter } }))).code).toBe("LLM_REPLY_TOO_LARGE")
    expect(told[1]).toEqual({ tokens: 15, costMicroUsd: 70 })
  })

  test("leaves the turn to others when there is no room for it", async () => {
    const limited = createBroker({ gateways: [gateway], clock, limits: { fake: { concurrency: 1 } } })
    const full: Meter = { active: true, reserve: () => Promise.reject(new Error("no room")) }
    expect((await failure(ask(limited, "Hello", { call: { meter: full } }))).message).toBe("no room")
    await ask(limited)
    expect(limited.status()).toMatchObject([{ running: 0, calls: 1 }])
  })

  test("is not waited for when the caller goes meanwhile, and is taken back when it is reserved after all", async () => {
    let reserved = (): void => {}
    const slow: Meter = {
      active: true,
      reserve: () =>
        new Promise((done) => {
          reserved = () => done({ settle: (spent) => told.push(spent) })
        }),
    }
    const caller = new AbortController()
    const gone = failure(ask(broker, "Hello", { call: { meter: slow, signal: caller.signal } }))
    await settled()
    caller.abort(new Error("gone"))
    expect((await gone).message).toBe("gone")
    reserved()
    await settled()
    expect(told).toEqual(["nothing"])
    expect(broker.status()).toMatchObject([{ running: 0, calls: 0 }])
  })

  test("is settled once, and the turn given back, also when the gateway answers nonsense", async () => {
    gateway.reply(() => ({}) as ReturnType<typeof answer>)
    await failure(ask(broker, "Hello", { call: { meter } }))
    expect(told.slice(1)).toEqual(["unknown"])
    expect(broker.status()).toMatchObject([{ running: 0 }])
  })
})
