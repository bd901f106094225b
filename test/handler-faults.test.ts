import { afterEach, describe, expect, test } from "vitest"
import { z } from "zod"
import { DeadLetter } from "../src/agents/dead-letters.js"
import { type AgentDefinition, defineAgent } from "../src/agents/define-agent.js"
import { defineEvent } from "../src/bus/define-event.js"
import type { EventDraft, MurmurEvent } from "../src/bus/event.js"
import { readHistory } from "../src/bus/reader.js"
import { startMesh, type TestMesh, take, until } from "./support/mesh.js"

const Work = defineEvent("work.given", z.object({ n: z.number(), key: z.string() }), { key: (d) => d.key })
const Done = defineEvent("work.done", z.object({ n: z.number() }))

let mesh: TestMesh | undefined
afterEach(async () => {
  await mesh?.stop()
  mesh = undefined
})

const work = (count: number, keys = 50, from = 0): EventDraft[] =>
  Array.from({ length: count }, (_, i) => Work({ n: from + i, key: `k${(from + i) % keys}` }, { id: `w${from + i}` }))
const publish = async (drafts: Iterable<EventDraft>) => {
  for await (const _ of (mesh as TestMesh).bus.publishMany(drafts, { producer: "cli" }));
}
const worker = (more: object = {}): AgentDefinition =>
  defineAgent("worker", {
    on: [Work],
    emits: [Done],
    async handle(event, ctx) {
      await new Promise((resolve) => setTimeout(resolve, event.data.n % 3))
      ctx.emit(Done({ n: event.data.n }, { key: event.data.key }))
    },
    ...more,
  })

async function letters(): Promise<DeadLetter[]> {
  const { names, link } = (mesh as TestMesh).bus
  const all: DeadLetter[] = []
  for await (const message of readHistory(link, { stream: names.dead, filter: "test.dead.>", from: { seq: 1 } })) {
    all.push(DeadLetter.parse(JSON.parse(Buffer.from(message.data).toString())))
  }
  return all
}

/** Each event has exactly one result by id, and the results of a key stand in the order of its events. */
async function expectDone(count: number): Promise<void> {
  const bus = (mesh as TestMesh).bus
  await until("all is done", async () => (await stored("work.done")) >= count, 40_000)
  const results = await take(bus, "work.done", await stored("work.done"))
  const byId = new Map<string, MurmurEvent>()
  for (const result of results) if (!byId.has(result.id)) byId.set(result.id, result)
  expect(byId.size).toBe(count)
  expect(new Set([...byId.values()].map(({ causationid }) => causationid)).size).toBe(count)
  const last = new Map<string | undefined, number>()
  for (const { key, data } of byId.values()) {
    const { n } = data as { n: number }
    expect(n, `order of ${key}`).toBeGreaterThan(last.get(key) ?? -1)
    last.set(key, n)
  }
}

async function stored(type: string): Promise<number> {
  const { bus } = mesh as TestMesh
  if (!bus.connected) return 0 // a request would wait for its timeout
  const query = { subjects_filter: bus.names.storedFilter(type) }
  const info = await bus.link.manager.streams.info(bus.names.events, query).catch(() => undefined)
  return Object.values(info?.state.subjects ?? {}).reduce((sum, count) => sum + count, 0)
}

describe("two nodes on one agent", () => {
  test("only one of them owns it; when its connection breaks the other takes over, in order, and nothing is lost", async () => {
    mesh = await startMesh({ agents: [worker()] })
    const second = await mesh.addNode({ agents: [worker()] })
    const first = mesh.node
    const published = publish(work(2_000))
    const steps = () => [first, second].map((node) => node.hosts[0]?.stats.steps ?? 0)
    await until("it is under way", () => Math.max(...steps()) > 300)
    expect(Math.min(...steps())).toBe(0)
    expect([first, second].filter((node) => node.hosts[0]?.active).length).toBe(1)
    const [owner, spare] = first.hosts[0]?.active ? [first, second] : [second, first]
    const began = Date.now()
    await owner?.bus.link.connection.close()
    await until("the other goes on", () => (spare?.hosts[0]?.stats.steps ?? 0) > 0, 15_000)
    expect(Date.now() - began).toBeLessThan(10_000)
    await published
    await expectDone(2_000)
  }, 60_000)

  test("a node that only seems dead and comes back doubles nothing", async () => {
    mesh = await startMesh({ agents: [worker()] })
    const second = await mesh.addNode({ agents: [worker()] })
    const published = publish(work(2_000))
    for (let round = 0; round < 3; round++) {
      const done = await stored("work.done")
      await until("more is done", async () => (await stored("work.done")) > done + 200)
      const owner = [mesh.node, second].find((node) => node.hosts[0]?.active)
      await owner?.bus.link.connection.reconnect()
    }
    await published
    await expectDone(2_000)
    expect(await stored("work.done")).toBe(2_000)
  }, 60_000)
})

describe("the server", () => {
  test("killed and started again in the middle: each event has one result, in the order of its key", async () => {
    mesh = await startMesh({ agents: [worker()] })
    const published = publish(work(2_000))
    for (const share of [0.25, 0.6]) {
      await until(`${share} is done`, async () => (await stored("work.done")) > 2_000 * share)
      await mesh.server.kill9()
      await mesh.server.restart()
    }
    await published
    await expectDone(2_000)
  }, 60_000)

  test("that removes an agent's consumer stops it until the consumer is there again", async () => {
    mesh = await startMesh({ agents: [worker()] })
    await publish(work(20))
    await expectDone(20)
    await mesh.bus.link.manager.consumers.delete(mesh.bus.names.events, "worker")
    await until("it noticed", () => mesh?.node.hosts[0]?.active === false)
    await mesh.addNode({ agents: [worker({ from: "start" })] }) // deploys it anew
    await publish(work(20, 50, 20))
    await expectDone(40)
    expect(await stored("work.done")).toBe(40)
  })
})

test("an agent on everything sees everything once, its own events too, and is stopped by depth", async () => {
  const seen: string[] = []
  const all = defineAgent("all", {
    on: [">"],
    emits: [Done],
    hopsMax: 2,
    handle(event, ctx) {
      seen.push(`${event.type}@${event.hops}`)
      ctx.emit(Done({ n: 1 }))
    },
  })
  mesh = await startMesh({ agents: [all] })
  await publish(work(1))
  await until("it is cut, and what it made of the news of that as well", async () => (await letters()).length === 2)
  expect(seen).toEqual([
    ...["work.given@0", "work.done@1", "work.done@2"],
    ...["murmur.guard.tripped@0", "work.done@1", "work.done@2"],
  ])
})

test("a handler that never ends is ended by its time, holds up no other key, and its late emits are refused", async () => {
  const late: unknown[] = []
  const endless = worker({
    stepTimeoutMs: 100,
    retry: { attempts: 2, backoffMs: 1 },
    handle: (
      event: MurmurEvent<{ n: number; key: string }>,
      ctx: { emit(draft: EventDraft): void; signal: AbortSignal },
    ) => {
      if (event.data.n !== 0) return ctx.emit(Done({ n: event.data.n }, { key: event.data.key }))
      return new Promise<void>((_, reject) => {
        ctx.signal.addEventListener("abort", () => {
          try {
            ctx.emit(Done({ n: -1 }))
          } catch (error) {
            late.push((error as { code?: string }).code)
            reject(error)
          }
        })
      })
    },
  })
  mesh = await startMesh({ agents: [endless] })
  await publish(work(3, 3))
  await take(mesh.bus, "work.done", 2)
  await until("it is laid aside", async () => (await letters()).length === 1)
  const [letter] = await letters()
  expect(letter).toMatchObject({ reason: "failed", error: { code: "STEP_TIMEOUT" }, event: { id: "w0" } })
  expect(letter?.attempts).toHaveLength(2)
  expect(late.every((code) => code === "EMIT_LATE")).toBe(true)
  expect(await stored("work.done")).toBe(2)
})

test("a graceful stop under load ends in time; what was not begun is done by the next node, nothing twice", async () => {
  mesh = await startMesh({ agents: [worker()] })
  const published = publish(work(2_000))
  await until("it is under way", async () => (await stored("work.done")) > 300)
  const began = Date.now()
  await mesh.node.stop(5_000)
  expect(Date.now() - began).toBeLessThan(4_000)
  await mesh.addNode({ agents: [worker()] })
  await published
  await expectDone(2_000)
  expect(await stored("work.done")).toBe(2_000)
}, 60_000)

describe("what would hold an agent up for ever", () => {
  test("a schema or a predicate that throws sends its event to the dead letters, and the next is handled", async () => {
    const Odd = defineEvent(
      "odd.given",
      z.object({ n: z.number() }).refine(({ n }) => {
        if (n === 1) throw new Error("the schema threw")
        return true
      }),
    )
    const agent = defineAgent("odd", {
      on: [
        Odd.where(({ data }) => {
          if (data.n === 2) throw new Error("the predicate threw")
          return true
        }),
      ],
      emits: [Done],
      handle: (event, ctx) => ctx.emit(Done({ n: event.data.n })),
    })
    mesh = await startMesh({ agents: [agent] })
    await publish([1, 2, 3].map((n) => ({ type: "odd.given", data: { n } })))
    expect((await take(mesh.bus, "work.done", 1))[0]?.data).toEqual({ n: 3 })
    await until("both are laid aside", async () => (await letters()).length === 2)
    const [schema, predicate] = await letters()
    expect(schema?.error.message).toBe("the schema threw")
    expect(predicate?.error.message).toContain("the predicate threw")
  })

  test("and a letter holds the event as it was stored, also what the schema left out", async () => {
    mesh = await startMesh({
      agents: [worker({ handle: () => Promise.reject(new Error("no")), retry: { attempts: 1 } })],
    })
    const data = { n: 1, key: "k", unknown: [1, 2] }
    await publish([{ type: "work.given", key: "k", data, extensions: { severity: "high" } }])
    await until("it is laid aside", async () => (await letters()).length === 1)
    expect((await letters())[0]?.event).toMatchObject({ data, severity: "high", producer: "cli", seq: 1 })
  })

  test("an event so large that its letter is larger than the server takes", async () => {
    const failing = worker({
      retry: { attempts: 1 },
      handle(event: MurmurEvent<{ n: number }>, ctx: { emit(draft: EventDraft): void }) {
        if (event.data.n === 0) throw new Error("x".repeat(2_000_000))
        ctx.emit(Done({ n: event.data.n }))
      },
    })
    mesh = await startMesh({ agents: [failing] })
    const max = mesh.bus.link.connection.info?.max_payload ?? 0
    const large = { n: 0, key: "k", padding: "x".repeat(max - 700) }
    await publish([{ type: "work.given", key: "k", data: large, id: "large" }, ...work(1, 1, 1)])
    await take(mesh.bus, "work.done", 1)
    await until("it is laid aside", async () => (await letters()).length === 1)
    const [letter] = await letters()
    expect(letter).toMatchObject({ reason: "failed", event: { id: "large", subject: "k", data: null } })
    expect(letter?.omitted).toMatch(/bytes/)
    expect(letter?.error.message.length).toBeLessThan(20_000)
  })

  test("data that JSON cannot hold any more after its schema, or that is nested too deep", async () => {
    const Big = defineEvent("big.given", z.looseObject({ n: z.coerce.bigint() }))
    const agent = defineAgent("big", {
      on: [Big],
      emits: [Done],
      retry: { attempts: 1 },
      handle(event, ctx) {
        if (event.data.n !== 3n) throw new Error("no")
        ctx.emit(Done({ n: 3 }))
      },
    })
    mesh = await startMesh({ agents: [agent] })
    const { connection } = mesh.bus.link
    connection.publish("test.ev.cli._.big.given", '{"n":1}')
    connection.publish("test.ev.cli._.big.given", `{"n":"2","deep":${"[".repeat(50_000)}${"]".repeat(50_000)}}`)
    connection.publish("test.ev.cli._.big.given", '{"n":3}')
    await take(mesh.bus, "work.done", 1)
    await until("both are laid aside", async () => (await letters()).length === 2)
    const [big, deep] = await letters()
    expect([big?.event.data, big?.omitted]).toEqual([{ n: 1 }, undefined])
    expect([deep?.event.data, deep?.omitted]).toEqual([null, expect.stringContaining("JSON")])
  })

  test("something sent to the agent alone that is no event", async () => {
    mesh = await startMesh({ agents: [worker()] })
    const { settings } = await (await import("../src/node/buckets.js")).openBuckets(mesh.bus)
    const { deployInbox } = await import("../src/node/deployment/consumers.js")
    await deployInbox(mesh.bus, { name: "worker", partitions: 1 })
    await settings.put("inbox.worker", { at: new Date().toISOString() })
    const event = { id: "e", source: "/s", type: "work.given", time: new Date().toISOString(), key: "k" }
    const whole = {
      ...event,
      data: { n: 1, key: "k" },
      producer: "cli",
      correlationid: "e",
      hops: 0,
      trust: "internal",
    }
    for (const data of [null, "x", {}, { ...whole, hops: "many" }, { ...whole, data: { n: "one" } }, whole]) {
      await mesh.bus.publish({ type: "murmur.inbox.worker", key: "k", data }, { producer: "cli" })
    }
    const [done] = await take(mesh.bus, "work.done", 1)
    expect(done).toMatchObject({ data: { n: 1 }, causationid: "e", key: "k" })
    await until("the others are laid aside", async () => (await letters()).length === 5)
    expect((await letters()).map(({ reason }) => reason)).toEqual([...Array(4).fill("malformed"), "schema"])
  })
})
