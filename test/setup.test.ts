import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import { durableInfo, ensureDurable, removeDurable } from "../src/bus/consumers.js"
import { Partition } from "../src/bus/partition.js"
import { type Log, silentLog } from "../src/telemetry/ports.js"
import { until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

let server: TestServer
let bus: Bus
beforeEach(async () => {
  server = await startTestServer()
  bus = await openBus({ url: server.url, name: "test", mesh: "test" })
})
afterEach(async () => {
  await bus.close()
  await server.stop()
})

describe("streams", () => {
  test("are created, left alone, and changed where a setting differs, with both values told", async () => {
    const actions = async (options = {}) => (await bus.ensureStreams(options)).map(({ action }) => action)
    expect(new Set(await actions())).toEqual(new Set(["create"]))
    expect(new Set(await actions())).toEqual(new Set(["none"]))
    const changes = await bus.ensureStreams({
      eventsAgeMsMax: 3_600_000,
      eventsBytesMax: 1_000_000,
      dedupWindowMs: 60_000,
    })
    const [events, ...others] = changes
    expect(events).toEqual({
      stream: bus.names.events,
      action: "update",
      differences: [
        { setting: "max_age", found: 30 * 86_400_000 * 1e6, wanted: 3_600_000 * 1e6 },
        { setting: "max_bytes", found: 10 * 1024 ** 3, wanted: 1_000_000 },
        { setting: "duplicate_window", found: 120_000 * 1e6, wanted: 60_000 * 1e6 },
      ],
    })
    expect(others.every(({ action }) => action === "none")).toBe(true)
    const { config } = await bus.link.manager.streams.info(bus.names.events)
    expect([config.max_age, config.max_bytes]).toEqual([3_600_000 * 1e6, 1_000_000])
    expect(config.subject_transform?.src).toBe("test.ev.*.*.>")
  })

  test("keep the retention that an operator gave them, but for what somebody asks for", async () => {
    const { manager } = bus.link
    const kept = async () => {
      const { config } = await manager.streams.info(bus.names.events)
      return [config.max_age / 1e6, config.max_bytes, config.duplicate_window / 1e6]
    }
    await bus.ensureStreams()
    await manager.streams.update(bus.names.events, { max_age: 3_600e9, max_bytes: 5_000_000, duplicate_window: 30e9 })
    await manager.streams.update(bus.names.stepsOf("any"), { max_age: 7_200e9, allow_direct: false })
    const changed = (await bus.ensureStreams()).filter(({ action }) => action !== "none")
    // what is not retention is ours
    expect(changed).toEqual([
      {
        stream: bus.names.stepsOf("any"),
        action: "update",
        differences: [{ setting: "allow_direct", found: false, wanted: true }],
      },
    ])
    expect(await kept()).toEqual([3_600_000, 5_000_000, 30_000])
    expect((await manager.streams.info(bus.names.stepsOf("any"))).config).toMatchObject({
      max_age: 7_200e9,
      allow_direct: true,
    })
    await bus.ensureStreams({ eventsBytesMax: 6_000_000 })
    expect(await kept()).toEqual([3_600_000, 6_000_000, 30_000])
  })

  test("several nodes may set them up at once", async () => {
    const others = await Promise.all([1, 2, 3].map(() => openBus({ url: server.url, name: "test", mesh: "test" })))
    const all = await Promise.all([bus, ...others].map((each) => each.ensureStreams()))
    expect(all.every((changes) => changes.length === all[0]?.length)).toBe(true)
    expect(new Set((await bus.ensureStreams()).map(({ action }) => action))).toEqual(new Set(["none"]))
    for (const each of others) await each.close()
  })

  test("a change that the server refuses is an error that names the stream", async () => {
    await bus.link.manager.streams.add({ name: "OTHER", subjects: ["test.ev.>"] })
    await expect(bus.ensureStreams()).rejects.toMatchObject({
      code: "STREAM_MIGRATE",
      message: expect.stringContaining("test_EVENTS"),
      details: { stream: "test_EVENTS" },
    })
  })
})

describe("the stream of events, on a server with little storage", () => {
  const warnings: Record<string, unknown>[] = []
  let small: Bus | undefined
  let host: TestServer | undefined
  afterEach(async () => {
    await small?.close()
    await host?.stop()
    warnings.length = 0
  })
  const onServerWith = async (storage: string) => {
    host = await startTestServer({ storage })
    const log: Log = { ...silentLog, warn: (facts) => void warnings.push({ ...facts }) }
    small = await openBus({ url: host.url, name: "test", mesh: "test", log })
    return small
  }
  const MEBI = 1024 ** 2

  test("is made as large as leaves room for the others, and a warning says so", async () => {
    const mesh = await onServerWith("200MB")
    expect(new Set((await mesh.ensureStreams()).map(({ action }) => action))).toEqual(new Set(["create"]))
    const { config } = await mesh.link.manager.streams.info(mesh.names.events)
    expect(config.max_bytes).toBe(80 * MEBI) // 10 GiB, halved until it fits, and once more
    expect(warnings).toEqual([{ stream: "test_EVENTS", wantedBytes: 10 * 1024 ** 3, bytesMax: 80 * MEBI }])
    expect(await mesh.publish({ type: "a", data: 1 }, { producer: "cli" })).toMatchObject({ seq: 1 })
    expect(new Set((await mesh.ensureStreams()).map(({ action }) => action))).toEqual(new Set(["none"]))
    expect(warnings).toHaveLength(1)
  })

  test("is not made when a size was asked for that the server does not have, and the error says what to do", async () => {
    const mesh = await onServerWith("200MB")
    await expect(mesh.ensureStreams({ eventsBytesMax: 300 * MEBI })).rejects.toMatchObject({
      code: "STREAM_MIGRATE",
      message: expect.stringMatching(
        /"test_EVENTS".* 314572800 bytes \(eventsBytesMax\).*make eventsBytesMax smaller, .*max_file/,
      ),
      details: { stream: "test_EVENTS", server: 10047 },
    })
    await mesh.ensureStreams({ eventsBytesMax: 150 * MEBI })
    const { config } = await mesh.link.manager.streams.info(mesh.names.events)
    expect(config.max_bytes).toBe(150 * MEBI)
    expect(warnings).toEqual([])
  })

  test("is not made with less than 64 MiB", async () => {
    const mesh = await onServerWith("70MB")
    await mesh.ensureStreams()
    expect((await mesh.link.manager.streams.info(mesh.names.events)).config.max_bytes).toBe(64 * MEBI)
    await mesh.close()
    await host?.stop()
    const tiny = await onServerWith("60MB")
    await expect(tiny.ensureStreams()).rejects.toMatchObject({
      code: "STREAM_MIGRATE",
      message: expect.stringContaining("too little storage left for the least of it"),
      details: { server: 10047 },
    })
  })
})

describe("durable consumers", () => {
  const filters = (...types: string[]) => types.map((type) => bus.names.storedFilter(type))
  const ensure = (types: string[], more: object = {}) =>
    ensureDurable(bus.link, {
      stream: bus.names.events,
      name: "w",
      filters: filters(...types),
      ackPendingMax: 10,
      ackWaitMs: 30_000,
      ...more,
    })
  const config = async () => (await durableInfo(bus.link, bus.names.events, "w"))?.config
  const publish = async (type: string, count = 1) => {
    for (let i = 0; i < count; i++) await bus.publish({ type, data: i }, { producer: "cli" })
  }
  beforeEach(() => bus.ensureStreams())

  test("are created, left alone, and changed in place, from one filter to several and back", async () => {
    expect(await ensure(["a"])).toBe("created")
    expect(await ensure(["a"])).toBe("unchanged")
    expect(await config()).toMatchObject({ filter_subject: filters("a")[0] })
    expect(await ensure(["a", "b"])).toBe("updated")
    expect(await ensure(["b", "a"])).toBe("unchanged")
    expect((await config())?.filter_subjects).toEqual(filters("a", "b"))
    expect((await config())?.filter_subject).toBeUndefined()
    expect(await ensure(["c"])).toBe("updated")
    expect((await config())?.filter_subject).toBe(filters("c")[0])
    expect((await config())?.filter_subjects).toBeUndefined()
    expect(await ensure(["c"], { ackPendingMax: 11, ackWaitMs: 20_000 })).toBe("updated")
    expect(await config()).toMatchObject({
      max_ack_pending: 11,
      ack_wait: 20_000 * 1e6,
      priority_policy: "pinned_client",
    })
  })

  test("begin now, at the start, at a sequence or at a time", async () => {
    await publish("a", 5)
    const pending = async (from: unknown) => {
      await removeDurable(bus.link, bus.names.events, "w")
      await ensure(["a"], { from })
      return (await durableInfo(bus.link, bus.names.events, "w"))?.num_pending
    }
    expect(await pending("now")).toBe(0)
    expect(await pending("start")).toBe(5)
    expect(await pending(4)).toBe(2)
    expect(await pending(new Date(Date.now() - 60_000))).toBe(5)
    expect(await pending(new Date(Date.now() + 60_000))).toBe(0)
    await removeDurable(bus.link, bus.names.events, "w")
    await removeDurable(bus.link, bus.names.events, "w")
  })

  test("without a filter are refused: it would mean everything", async () => {
    await expect(ensure([])).rejects.toMatchObject({ code: "CONSUMER_SETUP" })
  })

  test("with filters that overlap are refused, with the consumer's name", async () => {
    await expect(ensure(["a.*", "a.b"])).rejects.toMatchObject({
      code: "CONSUMER_SETUP",
      message: expect.stringContaining('"w"'),
    })
  })

  test("several nodes may set one up at once", async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => ensure(["a"])))
    expect(all.every((each) => ["created", "unchanged"].includes(each))).toBe(true)
  })

  test("what is added to a filter counts from now on, what is kept misses nothing", async () => {
    await ensure(["kept"])
    const came: string[] = []
    const partition = new Partition(
      bus.link,
      { stream: bus.names.events, durable: "w", batchMax: 10, log: silentLog },
      {
        onOwned: () => {},
        onLost: () => {},
        onDelivery: (delivery) => {
          came.push(`${delivery.subject.split(".").at(-1)} ${delivery.seq}`)
          delivery.ack()
        },
      },
    )
    partition.start()
    await publish("kept", 2)
    await until("they came", () => came.length === 2)
    await publish("added", 20)
    await bus.link.connection.flush()
    await ensure(["added", "kept"])
    await publish("kept")
    await publish("added")
    await until("the new ones came", () => came.length >= 4)
    // a reset goes back to what was acked last: the past of what was added must not come with it
    await partition.stop()
    await partition.release()
    await publish("kept")
    partition.start()
    await until("the newest came", () => came.includes("kept 25"))
    await partition.stop()
    expect(came).toEqual(["kept 1", "kept 2", "kept 23", "added 24", "kept 25"])
  })

  test("what is added to the filter of a consumer that nobody pulls counts from now on too, unless work waits", async () => {
    await ensure(["kept"])
    await publish("added", 20)
    await ensure(["added", "kept"])
    await publish("added")
    expect((await durableInfo(bus.link, bus.names.events, "w"))?.num_pending).toBe(1)
    await publish("late", 3)
    await ensure(["added", "kept", "late"])
    // one event waits: going past it would lose it
    expect((await durableInfo(bus.link, bus.names.events, "w"))?.num_pending).toBe(4)
  })
})
