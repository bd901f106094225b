import { beforeEach, expect, test } from "vitest"
import { type AskMore, ask, failure } from "../../../test/support/llm/ask.js"
import { answer, FakeGateway, fault } from "../../../test/support/llm/fake-gateway.js"
import { ManualClock, settled } from "../../../test/support/llm/manual-clock.js"
import type { StreamPart } from "../completion.js"
import { image, system, user } from "../messages/constructors.js"
import type { Broker, Meter } from "./broker.js"
import { createBroker } from "./create-broker.js"
import type { ResponseCache } from "./ports.js"

/** As a store would keep it: JSON. */
class Shelf implements ResponseCache {
  readonly kept = new Map<string, { json: string; keepMs: number }>()
  gets = 0

  async get(key: string): Promise<unknown> {
    this.gets++
    const found = this.kept.get(key)
    return found === undefined ? undefined : JSON.parse(found.json)
  }

  async put(key: string, given: unknown, keepMs: number): Promise<void> {
    this.kept.set(key, { json: JSON.stringify(given), keepMs })
  }
}

let gateway: FakeGateway
let shelf: Shelf
let broker: Broker

beforeEach(() => {
  gateway = new FakeGateway().reply(() => answer("ok", { id: "r-1" }))
  shelf = new Shelf()
  broker = createBroker({ gateways: [gateway], cache: shelf, cacheMs: 60_000, retry: { tries: 1 } })
})

async function asks(...requests: readonly AskMore[]): Promise<number> {
  for (const request of requests) await ask(broker, "Hello", request).catch(() => {})
  return gateway.requests.length
}

test("the same request is answered from the cache, and costs nothing", async () => {
  const used: string[] = []
  const meter: Meter = {
    active: true,
    reserve: async () => {
      used.push("reserved")
      return { settle: () => {} }
    },
  }
  const first = await ask(broker, "Hello", { call: { meter } })
  const second = await ask(broker, "Hello", { call: { meter } })
  expect(first).toMatchObject({ cached: false, tries: 1 })
  expect(second).toMatchObject({
    ...{ message: first.message, id: "r-1", cached: true, tries: 0, costMicroUsd: 0, answeredBy: "fake/m" },
    usage: { inputTokens: 0, outputTokens: 0 },
  })
  expect(used).toEqual(["reserved"])
  expect([...shelf.kept.values()]).toMatchObject([{ keepMs: 60_000 }])
  expect([...shelf.kept.keys()]).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)])
})

test("anything that may change the answer makes it another request", async () => {
  const different: AskMore[] = [
    {},
    { models: ["fake/other"] },
    { messages: [user("Hello!")] },
    { messages: [system("Be short"), user("Hello")] },
    { options: { temperature: 0 } },
    { options: { seed: 1 } },
    { tools: [{ name: "t", description: "", parameters: {} }] },
    { toolChoice: "none" },
    { object: { name: "o", schema: { type: "object" } } },
    { object: { name: "o", schema: { type: "string" } } },
  ]
  expect(await asks(...different, ...different)).toBe(different.length)
})

test("how long it may take makes it no other request", async () => {
  expect(await asks({}, { options: { timeoutMs: 5_000 } })).toBe(1)
})

test("a request may say how long its answer is kept, and that it is not to be", async () => {
  expect(await asks({ cacheMs: 0 }, { cacheMs: 0 }, { cacheMs: 5 })).toBe(3)
  expect([...shelf.kept.values()]).toMatchObject([{ keepMs: 5 }])
})

test("nothing is kept or looked up unless somebody wants it", async () => {
  broker = createBroker({ gateways: [gateway], cache: shelf })
  expect(await asks({}, {})).toBe(2)
  expect(shelf).toMatchObject({ gets: 0, kept: new Map() })
})

test.each(["length", "filtered"] as const)("an answer that ended for %s is not kept", async (finishReason) => {
  gateway.reply(() => answer("half", { finishReason }))
  expect(await asks({}, {})).toBe(2)
})

test("errors are not kept", async () => {
  gateway.reply(fault(500), () => answer("ok"))
  expect(await asks({}, {}, {})).toBe(2)
})

test("what a file or an address has in it may change, so that is not kept", async () => {
  const seen = (source: Parameters<typeof image>[0]): AskMore => ({ messages: [user("See", image(source))] })
  broker = createBroker({ gateways: [gateway], cache: shelf, cacheMs: 60_000, models: { "fake/*": { images: true } } })
  const file = seen({ path: "chart.png" })
  const url = seen({ url: "https://example.com/chart.png" })
  expect(await asks(file, file, url, url)).toBe(4)
  const bytes = seen({ bytes: new Uint8Array([1, 2]), mediaType: "image/png" })
  expect(await asks(bytes, bytes)).toBe(5)
})

test("a cache that fails, or has something else, is as good as none", async () => {
  const failing: ResponseCache = {
    get: () => Promise.reject(new Error("away")),
    put: () => Promise.reject(new Error("away")),
  }
  broker = createBroker({ gateways: [gateway], cache: failing, cacheMs: 1_000 })
  expect(await asks({}, {})).toBe(2)
  broker = createBroker({
    gateways: [gateway],
    cache: { get: async () => ({ old: true }), put: async () => {} },
    cacheMs: 1,
  })
  expect((await ask(broker)).cached).toBe(false)
  await settled()
})

test("a cache that does not answer is waited for no longer than a second", async () => {
  const clock = new ManualClock()
  const hanging: ResponseCache = { get: () => new Promise(() => {}), put: async () => {} }
  broker = createBroker({ gateways: [gateway], cache: hanging, cacheMs: 1_000, clock })
  const asked = ask(broker)
  await clock.pass(1_000)
  expect((await asked).cached).toBe(false)
})

test("whoever follows an answer is told of one from the cache too", async () => {
  await ask(broker)
  const parts: StreamPart[] = []
  await ask(broker, "Hello", { call: { onPart: (part) => parts.push(part) } })
  expect(parts).toMatchObject([
    { type: "text", text: "ok" },
    { type: "end", completion: { message: { content: "ok" } } },
  ])
})

test("the next model of a chain answers from the cache as well, when its turn comes", async () => {
  const chain = { models: ["fake/m", "fake/n"] }
  gateway.reply(fault(404), () => answer("from n"), fault(404))
  await ask(broker, "Hello", chain)
  expect(await ask(broker, "Hello", chain)).toMatchObject({ cached: true, answeredBy: "fake/n", tries: 1 })
  expect((await failure(ask(broker, "Hello", { models: ["fake/m"] }))).code).toBe("LLM_MODEL")
})

test("vectors are kept as well", async () => {
  const request = { models: ["fake/e"], texts: ["a", "bb"], options: {} }
  const call = { signal: new AbortController().signal }
  const first = await broker.embed(request, call)
  expect(first).toMatchObject({
    vectors: [
      [1, 1],
      [2, 1],
    ],
    cached: false,
    answeredBy: "fake/e",
  })
  expect(await broker.embed(request, call)).toMatchObject({
    vectors: first.vectors,
    cached: true,
    usage: { inputTokens: 0 },
  })
  expect((await broker.embed({ ...request, dimensions: 2 }, call)).cached).toBe(false)
})
