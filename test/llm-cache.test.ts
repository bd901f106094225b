import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import { KvResponseCache, type KvResponseCacheOptions } from "../src/node/llm/response-cache.js"
import { silentLog } from "../src/telemetry/ports.js"
import { until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

let server: TestServer
const closing: Bus[] = []
beforeAll(async () => {
  server = await startTestServer()
})
afterEach(async () => {
  for (const bus of closing.splice(0)) await bus.close()
})
afterAll(() => server?.stop())

let meshes = 0
/** A mesh with a cache of its own. */
const newMesh = (): string => `mesh-${++meshes}`
async function connect(mesh: string, url = server.url): Promise<Bus> {
  const bus = await openBus({ url, name: "test", mesh })
  closing.push(bus)
  return bus
}
async function open(mesh = newMesh(), options: KvResponseCacheOptions = {}): Promise<KvResponseCache> {
  return new KvResponseCache(await connect(mesh), { waitMsMax: 3_000, ...options })
}

/** What a cache says when it does not work. */
function listening(): { readonly warnings: string[]; readonly log: NonNullable<KvResponseCacheOptions["log"]> } {
  const warnings: string[] = []
  return { warnings, log: { ...silentLog, warn: (_fields, message) => void warnings.push(message) } }
}

test("an answer is given again, on any node of the mesh and of no other", async () => {
  const mesh = newMesh()
  const [one, other, stranger] = [await open(mesh), await open(mesh), await open()]
  expect(await one.get("key")).toBeUndefined()
  await one.put("key", { text: "ü", usage: [1, 2] }, 60_000)
  expect(await one.get("key")).toEqual({ text: "ü", usage: [1, 2] })
  expect(await other.get("key")).toEqual({ text: "ü", usage: [1, 2] })
  expect(await stranger.get("key")).toBeUndefined()
  await other.put("key", "newer", 60_000)
  expect(await one.get("key")).toBe("newer")
})

test("any text may be a key", async () => {
  const cache = await open()
  const keys = ["a b.c > *", "ü", "..", "x".repeat(1_000)]
  for (const key of keys) await cache.put(key, key, 60_000)
  for (const key of keys) expect(await cache.get(key)).toBe(key)
})

test("an answer vanishes when its time is up, and others stay", async () => {
  const cache = await open()
  await cache.put("short", 1, 900)
  await cache.put("long", 2, 60_000)
  await cache.put("not at all", 3, 0)
  expect(await cache.get("short")).toBe(1)
  expect(await cache.get("not at all")).toBeUndefined()
  await until("it has vanished", async () => (await cache.get("short")) === undefined, 5_000)
  expect(await cache.get("long")).toBe(2)
  await cache.put("short", 4, 60_000)
  expect(await cache.get("short")).toBe(4)
})

test("half a megabyte is kept, more is not, and neither is what is no JSON", async () => {
  const cache = await open()
  const half = "x".repeat(512 * 1024 - 2)
  await cache.put("half", half, 60_000)
  expect(await cache.get("half")).toBe(half)
  await cache.put("more", `${half}x`, 60_000)
  expect(await cache.get("more")).toBeUndefined()
  const circle: Record<string, unknown> = {}
  circle.itself = circle
  for (const rubbish of [circle, undefined, null, 1n]) await cache.put("rubbish", rubbish, 60_000)
  expect(await cache.get("rubbish")).toBeUndefined()
  expect(await cache.get("half")).toBe(half) // it works on
})

test("when it is full the oldest answers go", async () => {
  const mesh = newMesh()
  const cache = await open(mesh, { bytesMax: 1024 ** 2 })
  const answer = "x".repeat(100 * 1024)
  for (let n = 0; n < 30; n++) await cache.put(`key-${n}`, answer, 60_000)
  expect(await cache.get("key-29")).toBe(answer)
  expect(await cache.get("key-25")).toBe(answer)
  expect(await cache.get("key-0")).toBeUndefined()
  const { link } = await connect(mesh)
  const { state } = await link.manager.streams.info(`KV_${mesh}_llm-cache`)
  expect(state.bytes).toBeLessThanOrEqual(1024 ** 2)
})

test("a cache that cannot be made is as good as none, says so once, and is left alone for a while", async () => {
  const small = await startTestServer({ storage: "10MB" })
  try {
    const { warnings, log } = listening()
    const cache = new KvResponseCache(await connect("small", small.url), { log })
    await cache.put("key", 1, 60_000)
    expect(await cache.get("key")).toBeUndefined()
    expect(warnings).toEqual(["the cache of answers does not work; calls go without it"])
  } finally {
    await small.stop()
  }
})

test("a server that does not answer, or is away, holds no call up", async () => {
  const own = await startTestServer()
  try {
    const { warnings, log } = listening()
    const bus = await connect("away", own.url)
    const cache = new KvResponseCache(bus, { log, waitMsMax: 200 })
    await until("the cache is there", async () => {
      await cache.put("key", 1, 60_000)
      return (await cache.get("key")) === 1
    })
    const before = warnings.length
    own.pause()
    const begin = performance.now()
    await until("it does not answer", async () => (await cache.get("key")) === undefined)
    for (let n = 0; n < 10; n++) await cache.put("key", 2, 60_000)
    expect(performance.now() - begin).toBeLessThan(1_500)
    expect(warnings.length).toBe(before + 1)
    await own.kill9()
    await until("the connection is gone", () => !bus.connected)
    const cold = new KvResponseCache(bus, { log })
    expect(await cold.get("key")).toBeUndefined()
    await cold.put("key", 2, 60_000)
    expect(warnings.length).toBe(before + 1)
  } finally {
    await own.stop()
  }
})

test("options are checked, an unknown one too", async () => {
  const bus = await connect(newMesh())
  for (const wrong of [{ bytesMax: 0 }, { waitMsMax: 1.5 }, { bytes: 1 }]) {
    expect(() => new KvResponseCache(bus, wrong)).toThrow(expect.objectContaining({ code: "LLM_OPTION" }))
  }
})
