import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { Bucket, type BucketChange } from "../src/bus/bucket.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import { until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

let server: TestServer
let bus: Bus
let bucket: Bucket
beforeEach(async () => {
  server = await startTestServer()
  bus = await openBus({ url: server.url, name: "test", mesh: "test" })
  bucket = await bus.bucket("things")
})
afterEach(async () => {
  await bus.close()
  await server.stop()
})

test("values are JSON by key: written, read, changed, removed", async () => {
  expect(await bucket.get("a")).toBeUndefined()
  const first = await bucket.put("a", { n: 1 })
  expect(await bucket.get("a")).toMatchObject({ key: "a", value: { n: 1 }, revision: first })
  expect((await bucket.get("a"))?.at.getTime()).toBeGreaterThan(Date.now() - 60_000)
  await bucket.put("a", null)
  expect((await bucket.get("a"))?.value).toBeNull()
  await bucket.delete("a")
  await bucket.delete("never.there")
  expect(await bucket.get("a")).toBeUndefined()
})

test("of two writers one is first, and the other is told", async () => {
  const other = await Bucket.open(bus.link, "test_things")
  const revision = await bucket.create("a", 1)
  await expect(other.create("a", 2)).rejects.toMatchObject({ code: "BUCKET_CONFLICT" })
  const next = await other.update("a", 3, revision)
  await expect(bucket.update("a", 4, revision)).rejects.toMatchObject({ code: "BUCKET_CONFLICT" })
  await bucket.update("a", 5, next)
  await bucket.delete("a")
  await other.create("a", 6)
  expect((await bucket.get("a"))?.value).toBe(6)
})

test("a record that is no JSON is null for its reader to refuse", async () => {
  bus.link.connection.publish("$KV.test_things.a", "{ no")
  await until("it is there", async () => (await bucket.get("a")) !== undefined)
  expect((await bucket.get("a"))?.value).toBeNull()
})

test("one bucket is opened once, also by several at once, and again after it could not be", async () => {
  expect(await bus.bucket("things")).toBe(bucket)
  const all = await Promise.all([1, 2, 3].map(async () => (await openOther()).bucket("new")))
  expect(all.every(({ name }) => name === "test_new")).toBe(true)
  await expect(Bucket.open(bus.link, "not a name")).rejects.toMatchObject({ code: "BUCKET_OPEN" })

  async function openOther(): Promise<Bus> {
    const other = await openBus({ url: server.url, name: "test", mesh: "test" })
    closing.push(other)
    return other
  }
  for (const other of closing.splice(0)) await other.close()
})
const closing: Bus[] = []

describe("entries and watches", () => {
  const entries = async (filter?: string) => {
    const found: string[] = []
    for await (const { key } of bucket.entries(filter)) found.push(key)
    return found.sort()
  }

  test("entries are what there is now: all, some, none, without what was removed", async () => {
    expect(await entries()).toEqual([])
    for (const key of ["a.1", "a.2", "b.1", "gone"]) await bucket.put(key, key)
    await bucket.delete("gone")
    expect(await entries()).toEqual(["a.1", "a.2", "b.1"])
    expect(await entries("a.>")).toEqual(["a.1", "a.2"])
    expect(await entries("c.*")).toEqual([])
    expect(await entries("gone")).toEqual([])
  })

  /** What a watch has told so far: keys with their values, and `synced`. */
  function watch(filter?: string): { told: string[]; stop(): Promise<void> } {
    const stopping = new AbortController()
    const told: string[] = []
    const done = (async () => {
      for await (const change of bucket.watch({ signal: stopping.signal, filter })) told.push(write(change))
    })()
    return {
      told,
      stop: async () => {
        stopping.abort()
        await done
      },
    }
  }
  const write = (change: BucketChange): string =>
    "synced" in change
      ? "synced"
      : `${change.key}=${change.value === undefined ? "gone" : JSON.stringify(change.value)}`

  test.each<[string, string | undefined, string[]]>([
    ["of all", undefined, ["a.1=1", "b.1=2", "synced"]],
    ["of some", "b.*", ["b.1=2", "synced"]],
    ["of none", "c.>", ["synced"]],
  ])("a watch %s begins with what there is, then says so once, then tells changes", async (_, filter, begin) => {
    await bucket.put("a.1", 1)
    await bucket.put("b.1", 2)
    const watching = watch(filter)
    await until("it is synced", () => watching.told.includes("synced"))
    expect(watching.told).toEqual(begin)
    await bucket.put("b.1", 3)
    await bucket.delete("b.1")
    await bucket.put("c.1", 4)
    const changes =
      filter === undefined ? ["b.1=3", "b.1=gone", "c.1=4"] : filter === "b.*" ? ["b.1=3", "b.1=gone"] : ["c.1=4"]
    await until("the changes came", () => watching.told.length === begin.length + changes.length)
    expect(watching.told).toEqual([...begin, ...changes])
    await watching.stop()
  })

  test("a watch that is broken off leaves no consumer behind", async () => {
    await bucket.put("a", 1)
    for await (const change of bucket.watch({ signal: new AbortController().signal })) {
      if ("synced" in change) await bucket.put("a", 2)
      else if (change.value === 2) break
    }
    await until("its consumer is gone", async () => {
      const { state } = await bus.link.manager.streams.info("KV_test_things")
      return state.consumer_count === 0
    })
  })

  test("a watch ends when it is aborted, also while there is no server", async () => {
    await server.kill9()
    await until("the connection is lost", () => !bus.connected)
    const watching = watch()
    await watching.stop()
    expect(watching.told).toEqual([])
  })

  test("a watch of an empty bucket is synced at once", async () => {
    const watching = watch()
    await until("it is synced", () => watching.told.length > 0)
    await bucket.put("a", 1)
    await until("it is told", () => watching.told.length === 2)
    expect(watching.told).toEqual(["synced", "a=1"])
    await watching.stop()
  })

  test("a watch of a bucket that holds only what was removed is synced", async () => {
    await bucket.put("a", 1)
    await bucket.delete("a")
    const watching = watch()
    await until("it is synced", () => watching.told.includes("synced"))
    expect(watching.told.filter((told) => told === "synced")).toHaveLength(1)
    await watching.stop()
  })

  test("a watch goes on over a restart of the server, without missing a change", async () => {
    await bucket.put("a", 0)
    const watching = watch()
    await until("it is synced", () => watching.told.includes("synced"))
    await server.restart()
    await until("it is connected", () => bus.connected)
    for (let n = 1; n <= 3; n++) await bucket.put("a", n)
    await until("the last change came", () => watching.told.at(-1) === "a=3", 20_000)
    expect(watching.told.filter((told) => told === "synced")).toHaveLength(1)
    await watching.stop()
  }, 40_000)

  test("a watch that is aborted ends: before it began, and while it waits", async () => {
    const ended: string[] = []
    for await (const change of bucket.watch({ signal: AbortSignal.abort() })) ended.push(write(change))
    expect(ended.every((told) => told === "synced")).toBe(true)
    const watching = watch()
    await until("it is synced", () => watching.told.includes("synced"))
    await watching.stop()
  })
})

test("with a ttl entries vanish, and a watch that begins then is synced", async () => {
  const presence = await bus.bucket("presence", { ttlMs: 1_000 })
  await presence.put("node", 1)
  expect((await presence.get("node"))?.value).toBe(1)
  await until("it is gone", async () => (await presence.get("node")) === undefined, 10_000)
  for await (const change of presence.watch({ signal: AbortSignal.timeout(5_000) })) {
    expect(change).toEqual({ synced: true })
    break
  }
})
