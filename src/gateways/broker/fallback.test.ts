import { beforeEach, describe, expect, test } from "vitest"
import { ask, failure } from "../../../test/support/llm/ask.js"
import { answer, FakeGateway, fault, Gate, hang } from "../../../test/support/llm/fake-gateway.js"
import { ManualClock, settled } from "../../../test/support/llm/manual-clock.js"
import { RetryableError, TerminalError } from "../../errors.js"
import { image, user } from "../messages/constructors.js"
import type { Broker } from "./broker.js"
import { createBroker } from "./create-broker.js"
import type { BrokerOptions } from "./options.js"

const able = { tools: true, images: true, schema: true }
let clock: ManualClock
let one: FakeGateway
let two: FakeGateway

beforeEach(() => {
  clock = new ManualClock()
  one = new FakeGateway("one")
  two = new FakeGateway("two").reply(() => answer("from two"))
})

function brokerWith(options: Partial<BrokerOptions> = {}): Broker {
  return createBroker({ gateways: [one, two], clock, random: () => 0, ...options })
}

const chain = { models: ["one/m", "two/m"] }

describe("the next model is asked", () => {
  test.each([400, 401, 403, 404, 413])("when one says %s", async (status) => {
    one.reply(fault(status))
    expect(await ask(brokerWith(), "Hello", chain)).toMatchObject({ answeredBy: "two/m", tries: 2 })
  })

  test("when all tries of one are used up", async () => {
    one.reply(fault(500))
    const asked = ask(brokerWith(), "Hello", chain)
    await clock.pass(0)
    expect(await asked).toMatchObject({ answeredBy: "two/m", tries: 5 })
  })

  test("when one says to come back later than the longest backoff", async () => {
    one.reply(fault(429, { retryAfterMs: 20_001 }))
    const broker = brokerWith()
    expect(await ask(broker, "Hello", chain)).toMatchObject({ answeredBy: "two/m", tries: 2 })
    expect(await ask(broker, "Hello", chain)).toMatchObject({ answeredBy: "two/m", tries: 1 })
  })

  test("when one says again and again to come back soon", async () => {
    one.reply(fault(429, { retryAfterMs: 1_000 }))
    const asked = ask(brokerWith(), "Hello", chain)
    await clock.pass(3_000)
    expect(await asked).toMatchObject({ answeredBy: "two/m", tries: 5 })
  })

  test("when there is no gateway for one", async () => {
    const answered = await ask(brokerWith(), "Hello", { models: ["three/m", "two/m"] })
    expect(answered).toMatchObject({ answeredBy: "two/m", tries: 1 })
  })

  test.each([
    ["tools", { tools: [{ name: "t", description: "", parameters: {} }] }],
    ["images", { messages: [user("See", image({ data: "aGk=", mediaType: "image/png" }))] }],
    ["schema", { object: { name: "o", schema: {} } }],
  ] as const)("when one is known to lack %s", async (fact, request) => {
    const models = { "one/m": { ...able, [fact]: false }, "two/m": able }
    const answered = await ask(brokerWith({ models }), "Hello", { ...chain, ...request })
    expect(answered).toMatchObject({ answeredBy: "two/m", tries: 1 })
    expect(one.requests).toHaveLength(0)
  })

  test("but not when a budget is used up", async () => {
    const meter = {
      active: true,
      reserve: () => Promise.reject(new TerminalError("used up", { code: "BUDGET_USD" })),
    }
    expect(await failure(ask(brokerWith(), "Hello", { ...chain, call: { meter } }))).toMatchObject({
      code: "BUDGET_USD",
    })
    expect([...one.requests, ...two.requests]).toHaveLength(0)
  })

  test("but not when the caller has gone", async () => {
    one.reply(hang)
    const caller = new AbortController()
    const gone = failure(ask(brokerWith(), "Hello", { ...chain, call: { signal: caller.signal } }))
    await settled()
    caller.abort(new Error("gone"))
    expect((await gone).message).toBe("gone")
    expect(two.requests).toHaveLength(0)
  })
})

describe("a capability that no model has", () => {
  test("is refused before anything is sent, with what to do", async () => {
    const models = { "one/m": { images: false } }
    const messages = [user("See", image({ data: "aGk=", mediaType: "image/png" }))]
    const error = await failure(ask(brokerWith({ models }), "", { models: ["one/m"], messages }))
    expect(error).toMatchObject({ code: "LLM_UNSUPPORTED", name: "TerminalError" })
    expect(error.message).toContain('models: { "one/m": { images: true } }')
    expect(one.requests).toHaveLength(0)
  })

  test("is asked for all the same where it is a schema: a model may keep to one without being held to it", async () => {
    const models = { "one/m": { schema: false } }
    await ask(brokerWith({ models }), "", { models: ["one/m"], object: { name: "o", schema: {} } })
    expect(one.requests).toMatchObject([{ schemaName: "o" }])
  })
})

describe("when all have failed", () => {
  test("the error is the last one, and has what each said", async () => {
    one.reply(fault(404))
    two.reply(fault(401))
    const error = await failure(ask(brokerWith(), "Hello", chain))
    expect(error).toMatchObject({
      ...{ code: "LLM_KEY", name: "TerminalError" },
      details: {
        tried: [
          { model: "one/m", code: "LLM_MODEL", tries: 1 },
          { model: "two/m", code: "LLM_KEY", tries: 1 },
        ],
      },
    })
    expect(error.message).toContain("2 models failed: one/m, two/m")
  })

  test("one that may answer later counts more than one that never will", async () => {
    one.reply(fault(429, { retryAfterMs: 90_000 }))
    two.reply(fault(401))
    const error = await failure(ask(brokerWith(), "Hello", chain))
    expect(error).toMatchObject({ code: "LLM_BUSY", name: "RetryableError", retryAfterMs: 90_000 })
  })
})

describe("a provider that fails again and again", () => {
  /** Lets the provider `one` fail until it is left alone. */
  async function broken(options: Partial<BrokerOptions> = {}): Promise<Broker> {
    one.reply(fault(500))
    const broker = brokerWith({ retry: { tries: 5 }, ...options })
    const gone = failure(ask(broker, "Hello", { models: ["one/m"] }))
    await clock.pass(0)
    await gone
    expect(one.requests).toHaveLength(5)
    return broker
  }

  test("is left alone: the next model is asked at once", async () => {
    const broker = await broken()
    expect(broker.status()[0]).toMatchObject({ circuit: "open", untilMs: clock.now() + 30_000, failures: 5 })
    expect(await ask(broker, "Hello", chain)).toMatchObject({ answeredBy: "two/m", tries: 1 })
  })

  test("is not waited for by those that were waiting for their turn and have another model", async () => {
    const gate = new Gate()
    one.reply(gate.reply)
    const broker = brokerWith({ circuit: { failures: 1 }, retry: { tries: 1 }, limits: { one: { concurrency: 1 } } })
    const running = failure(ask(broker, "", { models: ["one/m"] }))
    const waiting = ask(broker, "", chain)
    await settled()
    expect(broker.status()[0]).toMatchObject({ running: 1, waiting: 1 })
    gate.refuse(new RetryableError("down", { code: "LLM_UNAVAILABLE" }))
    expect(await waiting).toMatchObject({ answeredBy: "two/m", tries: 1 })
    await running
  })

  test("is not waited for by a call without a deadline, nor by one whose deadline is before", async () => {
    const broker = await broken()
    for (const call of [{}, { deadlineMs: clock.now() + 29_999 }]) {
      const error = await failure(ask(broker, "Hello", { models: ["one/m"], call }))
      expect(error).toMatchObject({ code: "LLM_CIRCUIT_OPEN", name: "RetryableError", retryAfterMs: 30_000 })
    }
    expect(one.requests).toHaveLength(5)
  })

  test("is tried by one, the most urgent of those that wait within their deadlines, and then asked by all", async () => {
    const broker = await broken()
    one.reply(hang)
    const deadlineMs = clock.now() + 60_000
    const calls = Array.from({ length: 9 }, (_, priority) =>
      ask(broker, `${priority}`, { models: ["one/m"], call: { deadlineMs, priority } }),
    )
    await clock.pass(29_999)
    expect(one.requests).toHaveLength(5)
    let answered = (): void => {}
    one.reply(
      () =>
        new Promise((done) => {
          answered = () => done(answer("back"))
        }),
      () => answer("ok"),
    )
    await clock.pass(1)
    expect(one.requests.slice(5).map(({ messages }) => messages[0]?.content)).toEqual(["8"])
    expect(broker.status()[0]).toMatchObject({ circuit: "half-open", waiting: 8 })
    answered()
    await Promise.all(calls)
    expect(broker.status()[0]?.circuit).toBe("closed")
  })

  test("is left alone again when the one that tried it failed, and each waits as long as its deadline allows", async () => {
    const broker = await broken()
    const near = failure(ask(broker, "near", { models: ["one/m"], call: { deadlineMs: clock.now() + 50_000 } }))
    const far = ask(broker, "far", { models: ["one/m"], call: { deadlineMs: clock.now() + 90_000 } })
    await clock.pass(30_000)
    // Who failed as the probe would come back too late; so would who has not been asked.
    expect(await near).toMatchObject({ code: "LLM_CIRCUIT_OPEN" })
    one.reply(() => answer("back"))
    await clock.pass(30_000)
    await far
    expect(one.requests).toHaveLength(7)
  })

  test("leaves the place of the probe to the next when its caller has gone", async () => {
    const broker = await broken()
    one.reply(hang, () => answer("back"))
    const caller = new AbortController()
    const deadlineMs = clock.now() + 60_000
    const gone = failure(
      ask(broker, "", { models: ["one/m"], call: { signal: caller.signal, deadlineMs, priority: 1 } }),
    )
    const next = ask(broker, "", { models: ["one/m"], call: { deadlineMs } })
    await clock.pass(30_000)
    expect(one.requests).toHaveLength(6)
    caller.abort(new Error("gone"))
    await gone
    expect((await next).message.content).toBe("back")
  })

  test("is back with the first piece of a streamed answer, however long the rest takes", async () => {
    const broker = await broken()
    one.stream = async function* () {
      yield { type: "text", text: "I am" } as const
      await new Promise(() => {})
    }
    await clock.pass(30_000)
    const gone = failure(ask(broker, "", { models: ["one/m"], call: { onPart: () => {} } }))
    await settled()
    expect(broker.status()[0]?.circuit).toBe("closed")
    await broker.close()
    await gone
  })

  test("is left alone as well when each of its answers begins and breaks off", async () => {
    one.stream = async function* () {
      yield { type: "text", text: "I am" } as const
      throw new RetryableError("broke off", { code: "LLM_REPLY" })
    }
    const broker = brokerWith({ retry: { tries: 5 } })
    const gone = failure(ask(broker, "", { models: ["one/m"], call: { onPart: () => {} } }))
    await clock.pass(0)
    expect((await gone).code).toBe("LLM_REPLY")
    expect(broker.status()[0]).toMatchObject({ circuit: "open", failures: 5 })
  })

  test("is told of in the log when it is left alone, tried and back", async () => {
    const lines: string[] = []
    const write = (_fields: object, message: string): void => void lines.push(message)
    const telemetry = {
      log: { debug: () => {}, info: write, warn: write, error: write },
      tracing: { enabled: false, start: () => expect.unreachable() },
      metrics: { enabled: false, count: () => {}, duration: () => {} },
    }
    const broker = await broken({ telemetry })
    one.reply(() => answer("back"))
    await clock.pass(30_000)
    await ask(broker, "", { models: ["one/m"] })
    expect(lines).toEqual([
      "A provider of models is left alone: it failed again and again",
      "A provider of models is tried again",
      "A provider of models answers again",
    ])
  })

  test("is left alone after five times 429 as well, for as long as it says", async () => {
    one.reply(...Array.from({ length: 5 }, () => fault(429, { retryAfterMs: 2_000 })), () => answer("back"))
    const broker = brokerWith()
    const asked = ask(broker, "", { models: ["one/m"] })
    await clock.pass(8_000)
    expect(broker.status()[0]).toMatchObject({ circuit: "open", untilMs: clock.now() + 2_000 })
    await clock.pass(2_000)
    expect((await asked).tries).toBe(6)
    expect(broker.status()[0]?.circuit).toBe("closed")
  })

  test("does not count what the request itself is to blame for", async () => {
    one.reply(fault(400))
    const broker = brokerWith()
    for (let time = 0; time < 10; time++) await failure(ask(broker, "", { models: ["one/m"] }))
    expect(broker.status()[0]).toMatchObject({ circuit: "closed", calls: 10, failures: 0 })
  })
})
