import { afterAll, test as base, beforeAll, describe, expect } from "vitest"
import type { BucketEntry } from "../src/bus/bucket.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import type { Broker } from "../src/gateways/broker/broker.js"
import { createBroker } from "../src/gateways/broker/create-broker.js"
import type { ProviderLimits } from "../src/gateways/broker/options.js"
import { openai } from "../src/gateways/openai/openai.js"
import { MeshRateLimiter } from "../src/node/llm/rate-limits.js"
import { recordKey } from "../src/node/llm/rate-limits-record.js"
import { type Arrival, type ArrivalServer, mostIn, startArrivalServer } from "./support/llm/arrivals.js"
import { ask } from "./support/llm/ask.js"
import type { FakeServer } from "./support/llm/fake-server.js"
import { type CallerOptions, type LimitedCaller, startCaller } from "./support/llm/limited-caller.js"
import { type CallerProcess, startCallerProcess } from "./support/llm/limited-caller-process.js"
import { startOpenAiServer } from "./support/llm/openai-server.js"
import { until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

const HOUR_MS = 3_600_000
const WINDOW_MS = 2_000
const GRACE_MS = 1_000
const NEVER = new AbortController().signal

let shared: TestServer
let tester: Bus
beforeAll(async () => {
  shared = await startTestServer()
  tester = await openBus({ url: shared.url, name: "tester", mesh: "test" })
})
afterAll(async () => {
  await tester?.close()
  await shared?.stop()
})

type Options = Partial<Omit<CallerOptions, "url" | "account">>

/** What a test is given: a provider and an account of its own, since tests run side by side on one server. */
interface Setting {
  readonly provider: ArrivalServer
  readonly account: string
  /** A node, stopped after the test. */
  node(name: string, options: Options): Promise<LimitedCaller>
  /** A node that is a process of its own and sends so much at a time. */
  process(name: string, options: Options, atATime: number): Promise<CallerProcess>
  /** What stands in the bucket for this account. */
  written(): Promise<BucketEntry | undefined>
  /** Runs after the test, the last first. */
  afterwards(clean: () => Promise<unknown>): void
}

const test = base.extend<{ setting: Setting }>({
  setting: async ({ task }, use) => {
    const cleaning: (() => Promise<unknown>)[] = []
    const provider = await startArrivalServer()
    const account = task.id
    const complete = (name: string, options: Options): CallerOptions => {
      return { nats: shared.url, url: provider.url, name, account, windowMs: WINDOW_MS, graceMs: GRACE_MS, ...options }
    }
    const setting: Setting = {
      provider,
      account,
      node: async (name, options) => {
        const node = await startCaller(complete(name, options))
        cleaning.push(() => node.stop())
        return node
      },
      process: async (name, options, atATime) => {
        const child = await startCallerProcess(complete(name, options), atATime)
        cleaning.push(() => child.kill9())
        return child
      },
      written: async () => (await (await tester.bucket("llm-limits")).get(recordKey("fake", account))) ?? undefined,
      afterwards: (clean) => void cleaning.push(clean),
    }
    cleaning.push(() => provider.stop())
    await use(setting)
    for (const clean of cleaning.reverse()) await clean()
  },
})

/** How long something took, in milliseconds. */
async function timed(work: Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await work
  return performance.now() - begin
}

const sendersOf = ({ arrivals }: ArrivalServer): string[] => [...new Set(arrivals.map(({ from }) => from))].sort()

describe.concurrent("limits that nodes share", { timeout: 60_000 }, () => {
  test("two nodes with clocks an hour off send no more than the limit in any window, and nearly that", async ({
    setting: { provider, node },
  }) => {
    const limits = { requestsPerMinute: 20 }
    const nodes = [await node("early", { limits, skewMs: -HOUR_MS }), await node("late", { limits, skewMs: HOUR_MS })]
    const begin = performance.now()
    for (const each of nodes) each.send(4)
    await until("there were four windows", () => provider.arrivals.length >= 80)
    expect(mostIn(provider.arrivals, WINDOW_MS)).toBeLessThanOrEqual(20)
    expect(sendersOf(provider)).toEqual(["early", "late"])
    expect(performance.now() - begin).toBeLessThan(3 * (WINDOW_MS + GRACE_MS) + 12_000)
  })

  test("in a real minute never more than 60 arrive, from two processes of which one is killed", async ({
    setting: { provider, process },
  }) => {
    const limits = { requestsPerMinute: 60 }
    const options = { limits, windowMs: 60_000, graceMs: 2_000 }
    const [first] = await Promise.all([
      process("killed", { ...options, skewMs: HOUR_MS }, 4),
      process("survivor", { ...options, skewMs: -HOUR_MS }, 4),
    ])
    await until("the first minute's were sent", () => provider.arrivals.length >= 60)
    await first.kill9()
    await until("the next minute began", () => provider.arrivals.length >= 80, 80_000)
    expect(mostIn(provider.arrivals, 60_000)).toBe(60)
    expect(sendersOf(provider)).toEqual(["killed", "survivor"])
  }, 120_000)

  test("a node that is killed in the middle of sending takes nothing with it, and what it had sent counts", async ({
    setting: { provider, node, process },
  }) => {
    const limits = { requestsPerMinute: 40 }
    const killed = await process("killed", { limits }, 8)
    const survivor = await node("survivor", { limits })
    survivor.send(8)
    await until("both send", () => sendersOf(provider).length === 2 && provider.arrivals.length > 50)
    await killed.kill9()
    const before = provider.arrivals.length
    await until("the other goes on", () => provider.arrivals.length > before + 60, 40_000)
    expect(mostIn(provider.arrivals, WINDOW_MS)).toBeLessThanOrEqual(40)
  })

  test("what was sent is known to a node that starts later, and no longer than it counts", async ({
    setting: { node },
  }) => {
    const limits = { requestsPerMinute: 5 }
    const first = await node("first", { limits })
    for (let n = 0; n < 5; n++) await first.take()
    const begin = performance.now()
    const second = await node("second", { limits, skewMs: HOUR_MS })
    await second.take()
    expect(performance.now() - begin).toBeGreaterThan(WINDOW_MS - 100)
    expect(performance.now() - begin).toBeLessThan(WINDOW_MS + GRACE_MS + 4_000)
  })

  test("tokens are limited by what requests come to, not by what they were estimated at", async ({
    setting: { provider, node },
  }) => {
    const options = { limits: { tokensPerMinute: 1_000 }, tokens: 200, used: 50 }
    const nodes = [await node("a", options), await node("b", { ...options, skewMs: HOUR_MS })]
    for (const each of nodes) each.send(2)
    await until("more came than the estimates would allow", () => mostIn(provider.arrivals, WINDOW_MS) >= 12)
    await until("there were some windows", () => provider.arrivals.length >= 50)
    expect(mostIn(provider.arrivals, WINDOW_MS, ({ tokens }) => tokens)).toBeLessThanOrEqual(1_000)
  })

  test("a request that came to more than its estimate leaves less for the other node", async ({
    setting: { node, written },
  }) => {
    const limits = { tokensPerMinute: 1_000 }
    const [a, b] = [await node("a", { limits, tokens: 100 }), await node("b", { limits, tokens: 100 })]
    const permit = await a.take()
    permit.used(950)
    await until("it is written", async () => JSON.stringify(await written()).includes("850"))
    expect(await timed(b.take({ tokens: 51 }))).toBeGreaterThan(WINDOW_MS - 500)
    await b.take({ tokens: 949 })
  })

  test("a request that is larger than the limit is sent when nothing else counts", async ({ setting: { node } }) => {
    const limits = { tokensPerMinute: 1_000 }
    const { take } = await node("a", { limits })
    await take({ tokens: 10 })
    expect(await timed(take({ tokens: 5_000 }))).toBeGreaterThan(WINDOW_MS)
    expect(await timed(take({ tokens: 10 }))).toBeGreaterThan(WINDOW_MS)
  })

  test("many calls at a time do not each write: some are reserved ahead", async ({ setting: { node, written } }) => {
    const { take } = await node("busy", { limits: { requestsPerMinute: 20_000 } })
    const calls = 1_000
    let left = calls
    const one = async (): Promise<void> => {
      while (left-- > 0) await take()
    }
    const ms = await timed(Promise.all(Array.from({ length: 64 }, one)))
    const writes = (await written())?.revision ?? 0
    expect(writes).toBeGreaterThan(0)
    expect(writes).toBeLessThan(calls / 5)
    expect(ms).toBeLessThan(5_000)
  })

  test("an account that somebody wrote rubbish for is full for a window, and works then", async ({
    setting: { node, account },
  }) => {
    const { take, bus } = await node("a", { limits: { requestsPerMinute: 5 } })
    await take()
    await (await bus.bucket("llm-limits")).put(recordKey("fake", account), { sent: "all of it" })
    expect(await timed(take())).toBeGreaterThan(WINDOW_MS - 500)
    await take()
  })

  test("a call that is given up while it waits fails with its reason, and those behind it go on", async ({
    setting: { node },
  }) => {
    const { take } = await node("a", { limits: { requestsPerMinute: 3 } })
    for (let n = 0; n < 3; n++) await take()
    const giving = new AbortController()
    const given = take({}, giving.signal)
    const behind = timed(take())
    giving.abort(new Error("nobody waits"))
    await expect(given).rejects.toThrow("nobody waits")
    await expect(take({}, AbortSignal.abort(new Error("at once")))).rejects.toThrow("at once")
    expect(await behind).toBeGreaterThan(WINDOW_MS - 500)
    await take() // the call that was given up has taken nothing
    await take()
  })

  test("a node that stops lets nobody wait", async ({ setting: { node, account } }) => {
    const stopping = await node("stopping", { limits: { requestsPerMinute: 1 } })
    const limiter = await MeshRateLimiter.open(stopping.bus, { signal: AbortSignal.timeout(300) })
    const draw = { provider: "fake", account, tokens: 0 }
    const limits = { requestsPerMinute: 1 }
    const signal = new AbortController().signal
    await limiter.take(draw, limits, signal)
    await expect(limiter.take(draw, limits, signal)).rejects.toThrow(/timeout/)
    await expect(limiter.take(draw, limits, signal)).rejects.toThrow(/timeout/)
  })

  test("options are checked: an unknown one, and times that are none", async ({ setting: { node } }) => {
    const { bus } = await node("a", {})
    const signal = new AbortController().signal
    for (const wrong of [{ windowMs: 0 }, { graceMs: 1.5 }, { windoMs: 5 }]) {
      await expect(MeshRateLimiter.open(bus, { signal, ...wrong })).rejects.toMatchObject({ code: "LLM_OPTION" })
    }
  })
})

describe.concurrent("a provider that says later", () => {
  test("is left alone by all nodes within a second, whatever their clocks say; then one asks, then all", async ({
    setting: { node, account },
  }) => {
    const limits = { requestsPerMinute: 100 }
    const a = await node("a", { limits, skewMs: -HOUR_MS })
    const b = await node("b", { limits, skewMs: HOUR_MS })
    const begin = performance.now()
    a.limiter.holdOff("fake", account, Date.now() - HOUR_MS + 2_000)
    expect(a.limiter.heldUntilMs("fake", account)).toBeGreaterThan(Date.now() - HOUR_MS + 1_500)
    await until("the other node knows", () => b.limiter.heldUntilMs("fake", account) > 0, 1_000)
    expect(Math.abs(b.limiter.heldUntilMs("fake", account) - HOUR_MS - Date.now() - 2_000)).toBeLessThan(1_000)

    const permits: { at: number; used(tokens: number): void }[] = []
    const waiting = [a, b, a, b].map(async ({ take }) => {
      const permit = await take()
      permits.push({ at: performance.now() - begin, used: permit.used })
    })
    await until("one may ask", () => permits.length > 0)
    expect(permits[0]?.at).toBeGreaterThan(1_990)
    expect(a.limiter.heldUntilMs("fake", account)).toBe(0)
    await a.bus.link.connection.flush()
    await expect(a.take({}, AbortSignal.timeout(500))).rejects.toThrow(/timeout/)
    expect(permits).toHaveLength(1)
    permits[0]?.used(1)
    expect(await timed(Promise.all(waiting))).toBeLessThan(1_000)
  })

  test("is asked by one after each time it says so, and by all when nobody hears of the one for five seconds", async ({
    setting: { node, account },
  }) => {
    const [a, b] = [await node("a", {}), await node("b", {})]
    await a.take() // without limits nothing is waited for, and nothing counted
    a.limiter.holdOff("fake", account, Date.now() + 500)
    await until("the other node knows", () => b.limiter.heldUntilMs("fake", account) > 0, 1_000)
    const granted: string[] = []
    const takes = [a, b]
      .flatMap((each) => [each, each])
      .map(async ({ take }, at) => {
        const permit = await take()
        granted.push(`${at}`)
        return permit
      })
    const first = await Promise.race(takes)
    first.used(0)
    a.limiter.holdOff("fake", account, Date.now() + 500) // it was turned away
    const begin = performance.now()
    await until("the next one asks", () => granted.length === 2)
    expect(performance.now() - begin).toBeGreaterThan(450)
    expect(await timed(Promise.all(takes))).toBeGreaterThan(4_000)
  })
})

describe.concurrent("when the server is away", () => {
  test("nothing is sent that has a limit, it goes on afterwards, and what was sent before still counts", async ({
    setting: { node, provider, afterwards },
  }) => {
    const server = await startTestServer({ sync: "always" })
    afterwards(() => server.stop())
    const limits = { requestsPerMinute: 20 }
    const nodes = [await node("a", { nats: server.url, limits }), await node("b", { nats: server.url, limits })]
    for (const each of nodes) each.send(4)
    await until("both send", () => sendersOf(provider).length === 2 && provider.arrivals.length >= 30)
    await server.kill9()
    await until("they notice", () => nodes.every(({ bus }) => !bus.connected))
    const before = provider.arrivals.length
    const free = await nodes[0]?.limiter.take({ provider: "fake", account: "free", tokens: 1 }, {}, NEVER)
    free?.used(1)
    const giving = nodes[0]?.take({}, AbortSignal.timeout(WINDOW_MS + GRACE_MS))
    await expect(giving).rejects.toThrow(/timeout/)
    expect(provider.arrivals.length).toBeLessThanOrEqual(before + 8) // those that had their permits
    await server.restart()
    await until("they go on", () => provider.arrivals.length >= before + 40, 25_000)
    expect(mostIn(provider.arrivals, WINDOW_MS)).toBeLessThanOrEqual(20)
  }, 60_000)

  test("a server that stops answering for a while makes no limit be exceeded", async ({
    setting: { node, provider, afterwards },
  }) => {
    const server = await startTestServer()
    afterwards(() => server.stop())
    const limits = { requestsPerMinute: 20 }
    const nodes = [await node("a", { nats: server.url, limits }), await node("b", { nats: server.url, limits })]
    for (const each of nodes) each.send(4)
    for (const enough of [10, 30, 50]) {
      await until("they send", () => provider.arrivals.length >= enough)
      server.pause()
      await expect(nodes[0]?.take({}, AbortSignal.timeout(700))).rejects.toThrow(/timeout/)
      server.resume()
    }
    await until("they go on", () => provider.arrivals.length >= 90)
    expect(mostIn(provider.arrivals, WINDOW_MS)).toBeLessThanOrEqual(20)
  }, 60_000)
})

describe.concurrent("brokers on several nodes", { timeout: 60_000 }, () => {
  /** Brokers with limits that they share, each on a connection of its own, that ask one provider with one key. */
  async function brokers(server: FakeServer, limits: ProviderLimits, { node, account }: Setting): Promise<Broker[]> {
    const gateway = openai({ baseURL: `${server.url}/v1`, apiKey: `key-of-${account}` })
    await gateway.models({ signal: NEVER }) // loads the library, which may take longer than a request is allowed to
    const nodes = [await node("a", {}), await node("b", {})]
    return nodes.map(({ limiter }) => createBroker({ gateways: [gateway], limits: { openai: limits }, limiter }))
  }

  test("together keep to what one key is allowed", async ({ setting }) => {
    const server = await startOpenAiServer()
    setting.afterwards(() => server.close())
    const both = await brokers(server, { requestsPerMinute: 20 }, setting)
    const arrivals: Arrival[] = []
    server.reply(() => {
      arrivals.push({ at: performance.now(), from: "", tokens: 0 })
      return { text: "ok" }
    })
    const asked = both.flatMap((broker) =>
      Array.from({ length: 35 }, () => ask(broker, "Hi", { models: ["openai/m"] })),
    )
    const answers = await Promise.all(asked)
    expect(answers.every(({ tries }) => tries === 1)).toBe(true)
    expect(arrivals).toHaveLength(70)
    expect(mostIn(arrivals, WINDOW_MS)).toBeLessThanOrEqual(20)
  })

  test("send one request in all each time that a provider says later", async ({ setting }) => {
    const server = await startOpenAiServer()
    setting.afterwards(() => server.close())
    const both = await brokers(server, { requestsPerMinute: 1_000, concurrency: 1 }, setting)
    const askedMs = 400
    const refused: number[] = []
    server.reply(() => {
      if (refused.length === 6) return { text: "ok" }
      refused.push(performance.now())
      return { fault: { status: 429, headers: { "retry-after-ms": `${askedMs}` } } }
    })
    const [one, other] = both
    const first = ask(one as Broker, "Hi", { models: ["openai/m"] })
    await until("the other node knows", () => (other?.status()[0]?.untilMs ?? 0) > 0, 1_000)
    const more = both.flatMap((broker) => Array.from({ length: 5 }, () => ask(broker, "Hi", { models: ["openai/m"] })))
    await Promise.all([first, ...more])
    const gaps = refused.slice(1).map((at, n) => at - (refused[n] ?? 0))
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(askedMs)
  })
})
