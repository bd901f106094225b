import { afterEach, describe, expect, test } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import type { EventDraft, MurmurEvent } from "../src/bus/event.js"
import type { PublishAck } from "../src/bus/publisher.js"
import { take, until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

let server: TestServer | undefined
const buses: Bus[] = []
afterEach(async () => {
  server?.resume()
  for (const bus of buses.splice(0)) await bus.close()
  await server?.stop()
  server = undefined
})

async function start(options: Parameters<typeof startTestServer>[0] = {}): Promise<TestServer> {
  server = await startTestServer(options)
  return server
}

async function open(url: string): Promise<Bus> {
  const bus = await openBus({ url, name: "test", mesh: "test" })
  buses.push(bus)
  return bus
}

async function mesh(options: Parameters<typeof startTestServer>[0] = {}): Promise<{ server: TestServer; bus: Bus }> {
  const started = await start(options)
  const bus = await open(started.url)
  await bus.ensureStreams()
  return { server: started, bus }
}

const draft = (n: number, keys = 1): EventDraft => ({
  type: "work.given",
  key: `k${n % keys}`,
  data: { n },
  id: `w${n}`,
})
const drafts = (count: number, keys = 1) => Array.from({ length: count }, (_, n) => draft(n, keys))

function expectOnceAndInOrder(events: readonly MurmurEvent[], count: number): void {
  expect(new Set(events.map(({ id }) => id)).size).toBe(count)
  expect(events).toHaveLength(count)
  const last = new Map<string | undefined, number>()
  for (const { key, data } of events) {
    const { n } = data as { n: number }
    expect(n, `order of key ${key}`).toBeGreaterThan(last.get(key) ?? -1)
    last.set(key, n)
  }
}

describe("while the server is killed and comes back", () => {
  test("every publish of a bulk is acked, nothing is lost or stored twice, and keys keep their order", async () => {
    const { server, bus } = await mesh()
    const count = 6_000
    const acks: PublishAck[] = []
    const published = (async () => {
      for await (const ack of bus.publishMany(drafts(count, 40), { producer: "cli" })) acks.push(ack)
    })()
    for (const share of [0.2, 0.6]) {
      await until(`${share} is published`, () => acks.length > count * share)
      await server.kill9()
      await server.restart()
    }
    await published
    expect(acks.map(({ id }) => id)).toEqual(drafts(count).map(({ id }) => id))
    expectOnceAndInOrder(await take(bus, "work.given", count), count)
  })

  test("single publishes that are begun all the time, connected or not, keep the order of their key", async () => {
    const { server, bus } = await mesh()
    const acks: Promise<PublishAck>[] = []
    const timer = setInterval(() => {
      for (let i = 0; i < 5; i++) acks.push(bus.publish(draft(acks.length, 3), { producer: "cli" }))
    }, 1)
    for (let round = 0; round < 3; round++) {
      const begun = acks.length
      await until("more is under way", () => acks.length > begun + 300)
      await server.kill9()
      await until("some was published while disconnected", () => acks.length > begun + 600)
      await server.restart()
    }
    clearInterval(timer)
    await Promise.all(acks)
    expectOnceAndInOrder(await take(bus, "work.given", acks.length), acks.length)
  })
})

test("more at once than a stream buffers is not refused, lost or reordered", async () => {
  const { bus } = await mesh({ sync: "always" })
  const count = 25_000 // in a cluster a stream buffers 10,000 messages and answers "too many requests" to the rest
  const acks = await Promise.all(drafts(count, 10).map((each) => bus.publish(each, { producer: "cli" })))
  expect(acks.map(({ seq }) => seq)).toEqual(Array.from({ length: count }, (_, n) => n + 1))
  const { state } = await bus.link.manager.streams.info(bus.names.events)
  expect(state.messages).toBe(count)
}, 60_000)

describe("what cannot be stored is refused with a reason", () => {
  test("an event whose headers make it larger than the server takes, without harm to the connection", async () => {
    const { bus } = await mesh()
    const max = bus.link.connection.info?.max_payload ?? 0
    const empty = (await import("../src/bus/encode.js")).encode
    const { seal } = await import("../src/bus/encode.js")
    const overhead = empty(seal({ type: "big", data: "", id: "i" }, { mesh: "test", producer: "cli" })).length
    const publish = (bytes: number) =>
      bus.publish(
        { type: "big", data: "x".repeat(bytes), id: "i", time: new Date().toISOString() },
        { producer: "cli" },
      )
    for (const bytes of [max - overhead, max - overhead - 20, max * 2]) {
      const error = await publish(bytes).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: "EVENT_TOO_LARGE", details: { bytesMax: max } })
    }
    expect(bus.publisher.waiting).toBe(0)
    await expect(publish(max - overhead - 200)).resolves.toMatchObject({ duplicate: false })
  })

  test("data that JSON cannot hold", async () => {
    const { bus } = await mesh()
    const circular: { self?: unknown } = {}
    circular.self = circular
    for (const data of [{ big: 1n }, circular]) {
      await expect(bus.publish({ type: "a.b", data }, { producer: "cli" })).rejects.toMatchObject({
        code: "EVENT_DATA",
      })
    }
    await expect(
      bus.publish({ type: "a.b", data: 1 }, { producer: "cli", timeoutMs: Number.NaN }),
    ).rejects.toMatchObject({ code: "PUBLISH_OPTION" })
  })

  test("a stream that is full", async () => {
    const { bus } = await mesh()
    const { manager } = bus.link
    await manager.streams.update(bus.names.dead, { max_msgs: 1 })
    const append = () => bus.publisher.append("test.dead.a.k", Buffer.from("{}"))
    await append()
    await expect(append()).rejects.toMatchObject({
      code: "STREAM_FULL",
      message: expect.stringContaining("maximum messages"),
    })
  })

  test("a subject that the credentials may not publish to, and only that one", async () => {
    const users = `authorization { users: [
      { user: admin, password: pw },
      { user: limited, password: pw, permissions: { publish: { deny: ["test.ev.secret.>"] } } } ] }`
    const started = await start({ config: users })
    const admin = await open(started.url.replace("//", "//admin:pw@"))
    await admin.ensureStreams()
    const limited = await open(started.url.replace("//", "//limited:pw@"))
    const denied = limited.publish(draft(1), { producer: "secret" })
    const allowed = limited.publish(draft(2), { producer: "open" })
    await expect(denied).rejects.toMatchObject({ code: "PUBLISH_DENIED" })
    await expect(allowed).resolves.toMatchObject({ id: "w2" })
  })

  test("a writer that is not the first is told, whatever the other wrote", async () => {
    const { bus } = await mesh()
    const other = await open(bus.link.connection.getServer().replace(/^/, "nats://"))
    const first = await bus.publisher.append("test.ses.a.k", Buffer.from("1"), 0)
    await expect(other.publisher.append("test.ses.a.k", Buffer.from("2"), 0)).rejects.toMatchObject({
      code: "FENCE_CONFLICT",
    })
    await expect(other.publisher.append("test.ses.a.k", Buffer.from("2"), first.seq)).resolves.toBeDefined()
  })
})

describe("an outcome that stays unknown", () => {
  test("nobody answers in time", async () => {
    const { server, bus } = await mesh()
    server.pause()
    const began = Date.now()
    const error = await bus.publish(draft(1), { producer: "cli", timeoutMs: 400 }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: "BUS_UNAVAILABLE" })
    expect(Date.now() - began).toBeLessThan(5_000)
    server.resume()
    await expect(bus.publish(draft(1), { producer: "cli" })).resolves.toMatchObject({ id: "w1" })
    expect((await take(bus, ">", 1)).length).toBe(1)
  })

  test("there is no stream: it is tried until the time is up, and stored when the stream comes in time", async () => {
    const started = await start()
    const bus = await open(started.url)
    await expect(bus.publish(draft(1), { producer: "cli", timeoutMs: 300 })).rejects.toMatchObject({
      code: "BUS_UNAVAILABLE",
    })
    const waiting = Promise.all(drafts(50).map((each) => bus.publish(each, { producer: "cli" })))
    await bus.ensureStreams()
    await waiting
    expectOnceAndInOrder(await take(bus, "work.given", 50), 50)
  })

  test("a connection that is closed fails what waits, at once and without a stray error", async () => {
    const { server, bus } = await mesh()
    server.pause()
    const waiting = drafts(20).map((each) =>
      bus.publish(each, { producer: "cli" }).catch((error: { code: string }) => error.code),
    )
    await until("they wait", () => bus.publisher.waiting === 20)
    await bus.link.connection.close()
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(["BUS_CLOSED"]))
    await expect(bus.publish(draft(1), { producer: "cli" })).rejects.toMatchObject({ code: "BUS_CLOSED" })
    expect(bus.publisher.waiting).toBe(0)
  })

  test("closing does not wait for a server that does not answer", async () => {
    const { server, bus } = await mesh()
    server.pause()
    const waiting = bus.publish(draft(1), { producer: "cli" }).catch((error: { code: string }) => error.code)
    const began = Date.now()
    await bus.close()
    expect(Date.now() - began).toBeLessThan(6_000)
    expect(await waiting).toBe("BUS_CLOSED")
  })
})

test("a mesh's name that is none is refused before there is a connection", async () => {
  const started = await start()
  await expect(openBus({ url: started.url, name: "test", mesh: "Not A Name" })).rejects.toMatchObject({
    code: "NAME_INVALID",
  })
})
