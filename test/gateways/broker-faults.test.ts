import { afterEach, beforeEach, describe, expect, test } from "vitest"
import type { Broker, Meter } from "../../src/gateways/broker/broker.js"
import { createBroker } from "../../src/gateways/broker/create-broker.js"
import type { BrokerOptions } from "../../src/gateways/broker/options.js"
import { openai } from "../../src/gateways/openai/openai.js"
import { type AskMore, ask as askFor, failure } from "../support/llm/ask.js"
import type { FakeServer } from "../support/llm/fake-server.js"
import { startOpenAiServer } from "../support/llm/openai-server.js"

let server: FakeServer
let broker: Broker | undefined

beforeEach(async () => {
  server = await startOpenAiServer()
})

afterEach(async () => {
  await broker?.close()
  await server.close().catch(() => {}) // one test has closed it
})

function brokerWith(options: Partial<BrokerOptions> = {}): Broker {
  const gateway = openai({ baseURL: `${server.url}/v1`, apiKey: "test" })
  const retry = { backoffMs: 10, ...options.retry }
  broker = createBroker({ gateways: [gateway], ...options, retry })
  return broker
}

const ask = (on: Broker, text?: string, more?: AskMore) => askFor(on, text, { models: ["openai/m"], ...more })

/** Random numbers that are the same each time. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

describe("a storm of 429", () => {
  test("20 in a row: never more than one request in the time that the provider asked for", async () => {
    const askedMs = 60
    const busy = { fault: { status: 429, headers: { "retry-after-ms": `${askedMs}` } } }
    server.reply((_seen, { index }) => (index < 20 ? busy : { text: "ok" }))
    const on = brokerWith()
    const first = ask(on)
    await expect.poll(() => on.status()[0]?.untilMs, { interval: 1 }).toBeDefined()
    const others = Array.from({ length: 30 }, () => ask(on))
    const answers = await Promise.all([first, ...others])
    expect(answers.every(({ message }) => message.content === "ok")).toBe(true)
    const times = server.calls.slice(0, 21).map(({ atMs }) => atMs)
    for (const [at, time] of times.entries()) {
      expect(times.filter((other, index) => index > at && other < time + askedMs)).toEqual([])
    }
    expect(server.calls).toHaveLength(20 + 31)
  })
})

describe("every second request fails by chance: 500, 502, reset", () => {
  test("each call is answered within the attempts of a step, each attempt within four tries", async () => {
    const random = seeded(41)
    const faults = [{ status: 500 }, { status: 502 }, "reset"] as const
    server.reply(() => {
      const fault = faults[Math.floor(random() * 3)]
      return random() < 0.5 && fault !== undefined ? { fault } : { text: "ok" }
    })
    const on = brokerWith({ circuit: { openMs: 20 }, random: seeded(42) })
    let attempts = 0
    const step = async (): Promise<string> => {
      for (let attempt = 1; ; attempt++) {
        attempts++
        try {
          const answered = await ask(on, "Hello", { call: { deadlineMs: Date.now() + 20_000 } })
          expect(answered.tries).toBeLessThanOrEqual(4)
          return answered.message.content
        } catch (error) {
          if (attempt === 5) throw error
          expect(error).toMatchObject({ name: "RetryableError", code: "LLM_UNAVAILABLE" })
        }
      }
    }
    const calls = 240
    const outcomes: PromiseSettledResult<string>[] = []
    for (let done = 0; done < calls; done += 40) {
      outcomes.push(...(await Promise.allSettled(Array.from({ length: 40 }, step))))
    }
    const answered = outcomes.filter(({ status }) => status === "fulfilled").length
    expect(answered / calls).toBeGreaterThanOrEqual(0.999)
    // One in 16 attempts has four failures in a row; on the whole two requests lead to an answer.
    expect(attempts / calls).toBeLessThan(1.2)
    expect(server.calls.length / calls).toBeLessThan(2.5)
  })
})

describe("an answer that does not come", () => {
  test.each(["hang", "stall", "trickle"] as const)(
    "%s: it is broken off in time, and asked for again",
    async (fault) => {
      server.reply({ fault, text: "half" }, { fault, text: "half" }, { text: "ok" })
      const answered = await ask(brokerWith(), "Hello", { options: { timeoutMs: 150 } })
      expect(answered).toMatchObject({ message: { content: "ok" }, tries: 3 })
      expect(answered.durationMs).toBeLessThan(2_000)
      await expect.poll(() => server.calls.map(({ brokenOff }) => brokenOff)).toEqual([true, true, false])
    },
  )

  test.each(["hang", "trickle"] as const)("%s: for ever is a timeout, when all tries are used up", async (fault) => {
    server.reply({ fault, text: "half" })
    const gone = await failure(ask(brokerWith(), "Hello", { options: { timeoutMs: 60 } }))
    expect(gone).toMatchObject({ code: "LLM_TIMEOUT", name: "RetryableError", details: { tried: [{ tries: 4 }] } })
    expect(server.calls).toHaveLength(4)
  })

  test("a stream that stops in its middle is idle", async () => {
    server.reply({ fault: "stall", text: "one two three four five six seven eight" })
    const gone = await failure(
      ask(brokerWith({ idleMs: 80, retry: { tries: 1 } }), "Hello", { call: { onPart: () => {} } }),
    )
    expect(gone).toMatchObject({ code: "LLM_IDLE", name: "RetryableError" })
    await expect.poll(() => server.calls[0]?.brokenOff).toBe(true)
  })

  test("a stream that trickles has no more than its time", async () => {
    server.reply({ fault: "trickle", text: "one two three" })
    const on = brokerWith({ retry: { tries: 1 } })
    const gone = await failure(ask(on, "Hello", { options: { timeoutMs: 150 }, call: { onPart: () => {} } }))
    expect(gone).toMatchObject({ code: "LLM_TIMEOUT" })
  })
})

describe("an answer that is no good", () => {
  test.each(["cut", "break", "html", "empty"] as const)("%s: is asked for again", async (fault) => {
    server.reply({ fault, text: "something" }, { text: "ok" })
    expect(await ask(brokerWith())).toMatchObject({ message: { content: "ok" }, tries: 2 })
  })

  test("cut each time: is an answer that cannot be read, after four tries", async () => {
    server.reply({ fault: "cut", text: "something" })
    expect(await failure(ask(brokerWith()))).toMatchObject({ code: "LLM_REPLY", name: "RetryableError" })
    expect(server.calls).toHaveLength(4)
  })

  test("2 MB: is refused, is not asked for again, and what it has cost is counted", async () => {
    server.reply({ text: "x".repeat(2_000_000), usage: { inputTokens: 3, outputTokens: 500_000 } })
    const told: unknown[] = []
    const meter: Meter = { active: true, reserve: async () => ({ settle: (spent) => told.push(spent) }) }
    const gone = await failure(ask(brokerWith(), "Hello", { call: { meter } }))
    expect(gone).toMatchObject({ code: "LLM_REPLY_TOO_LARGE", name: "TerminalError" })
    expect(server.calls).toHaveLength(1)
    expect(told).toMatchObject([{ tokens: 500_003 }])
  })
})

describe("a provider that is down", () => {
  test("is left alone after five failures, tried by one, and asked by all when that one is answered", async () => {
    server.reply({ fault: { status: 500 } })
    const on = brokerWith({ circuit: { openMs: 300 } })
    // The second call's first try is the fifth failure: its second try is refused.
    expect((await failure(ask(on))).code).toBe("LLM_UNAVAILABLE")
    expect((await failure(ask(on))).code).toBe("LLM_CIRCUIT_OPEN")
    expect(server.calls).toHaveLength(5)
    expect(on.status()).toMatchObject([{ circuit: "open", failures: 5 }])
    const deadlineMs = Date.now() + 10_000
    server.reply((_seen, { index }) => (index === 5 ? { text: "probe", delayMs: 200 } : { text: "ok" }))
    const calls = Array.from({ length: 10 }, () => ask(on, "Hello", { call: { deadlineMs } }))
    await expect.poll(() => on.status()[0]?.circuit, { interval: 5 }).toBe("half-open")
    await expect.poll(() => server.calls.length, { interval: 5 }).toBe(6)
    expect(on.status()).toMatchObject([{ running: 1, waiting: 9 }])
    const answers = await Promise.all(calls)
    expect(answers.map(({ message }) => message.content).sort()).toEqual([...Array(9).fill("ok"), "probe"])
    const [probe, ...later] = server.calls.slice(5).map(({ atMs }) => atMs)
    for (const atMs of later) expect(atMs).toBeGreaterThanOrEqual((probe ?? 0) + 190)
  })

  test("a machine that refuses connections costs nothing, and the next model is asked", async () => {
    const other = await startOpenAiServer()
    const goneUrl = `${server.url}/v1`
    await server.close()
    try {
      const gateways = [
        openai({ provider: "gone", baseURL: goneUrl }),
        openai({ baseURL: `${other.url}/v1`, apiKey: "test" }),
      ]
      broker = createBroker({ gateways, retry: { backoffMs: 5 } })
      const told: unknown[] = []
      const meter: Meter = { active: true, reserve: async () => ({ settle: (spent) => told.push(spent) }) }
      const answered = await ask(broker, "Hello", { models: ["gone/m", "openai/m"], call: { meter } })
      expect(answered).toMatchObject({ answeredBy: "openai/m", tries: 5 })
      expect(told).toMatchObject(["nothing", "nothing", "nothing", "nothing", { tokens: 18 }])
    } finally {
      await other.close()
    }
  })
})
