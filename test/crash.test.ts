import { fileURLToPath } from "node:url"
import { afterEach, expect, test } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import type { EventDraft, MurmurEvent } from "../src/bus/event.js"
import { readHistory } from "../src/bus/reader.js"
import { readSession } from "../src/node/session-view.js"
import { until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "./support/node-process.js"

const FIXTURE = fileURLToPath(new URL("./fixtures/counting.ts", import.meta.url))
const EVENTS = 10_000
const KEYS = 100
const T0 = Date.UTC(2026, 0, 1)

let server: TestServer | undefined
let bus: Bus | undefined
const nodes: NodeProcess[] = []
afterEach(async () => {
  for (const node of nodes.splice(0)) if (node.child.exitCode === null) await node.kill9()
  await bus?.close()
  await server?.stop()
})

function* work(): Generator<EventDraft> {
  for (let n = 0; n < EVENTS; n++) {
    const key = `key-${n % KEYS}`
    // 20 events a key and second: the windows of all keys are open most of the time
    const time = new Date(T0 + Math.floor(n / KEYS) * 50).toISOString()
    yield { type: "work.given", key, data: { key, n }, id: `work-${n}`, time }
  }
}

async function resultsOf(type: string): Promise<MurmurEvent[]> {
  const results: MurmurEvent[] = []
  if (bus === undefined) return results
  const { names, link } = bus
  const { decode } = await import("../src/bus/decode.js")
  const read = { stream: names.events, filter: names.storedFilter(type), from: { seq: 1 } }
  for await (const message of readHistory(link, read)) {
    const decoded = decode(names, message)
    if (decoded.ok) results.push(decoded.event)
  }
  return results
}

async function countOf(type: string): Promise<number> {
  if (bus === undefined) return 0
  const query = { subjects_filter: bus.names.storedFilter(type) }
  const info = await bus.link.manager.streams.info(bus.names.events, query).catch(() => undefined)
  if (info === undefined) return 0 // the server is away: the caller asks again
  return Object.values(info.state.subjects ?? {}).reduce((sum, count) => sum + count, 0)
}

async function startNode(): Promise<NodeProcess> {
  const node = await startNodeProcess([FIXTURE, "--nats", server?.url ?? "", "--no-http"])
  nodes.push(node)
  return node
}

/** Every event has one result by id, and the results of a key come in the order of its events. */
function checkDone(done: readonly MurmurEvent[]): void {
  expect(new Set(done.map(({ id }) => id)).size).toBe(EVENTS)
  expect(done).toHaveLength(EVENTS)
  expect(new Set(done.map(({ causationid }) => causationid)).size).toBe(EVENTS)
  const last = new Map<string | undefined, number>()
  for (const event of done) {
    const { n } = event.data as { n: number }
    expect(n).toBeGreaterThan(last.get(event.key) ?? -1)
    last.set(event.key, n)
  }
}

/** Every event is committed once, in order, and what a session counted is what was in its state then. */
async function checkBooked(booked: readonly MurmurEvent[]): Promise<void> {
  expect(new Set(booked.map(({ id }) => id)).size).toBe(EVENTS)
  expect(booked).toHaveLength(EVENTS)
  for (let k = 0; k < KEYS; k++) {
    const own = booked.filter(({ key }) => key === `key-${k}`).map(({ data }) => data as { n: number; count: number })
    expect(own.map(({ count }) => count)).toEqual(Array.from({ length: EVENTS / KEYS }, (_, i) => i + 1))
    expect(own.map(({ n }) => n)).toEqual(Array.from({ length: EVENTS / KEYS }, (_, i) => i * KEYS + k))
  }
  if (bus === undefined) return
  const { commits } = await readSession(bus, "ledger", "key-0", "end")
  expect(new Set(commits.map(({ cause }) => cause.id)).size).toBe(EVENTS / KEYS)
  expect(commits).toHaveLength(EVENTS / KEYS)
}

/** Every window that can be closed was published once, with each event in exactly one. */
function checkWindows(summed: readonly MurmurEvent[]): void {
  const perKey = EVENTS / KEYS
  const closed = Math.floor((perKey - 1) / 20)
  expect(summed).toHaveLength(closed * KEYS)
  const seen = new Set<string>()
  for (const event of summed) {
    const { start, numbers } = event.data as { start: number; numbers: number[] }
    seen.add(`${event.key} ${start}`)
    expect(numbers).toHaveLength(20)
    expect(numbers.every((n) => T0 + Math.floor(n / KEYS) * 50 - start < 1_000)).toBe(true)
  }
  expect(seen.size).toBe(closed * KEYS)
}

async function runWithFaults(fault: (progress: () => Promise<number>) => Promise<void>): Promise<void> {
  server = await startTestServer({ sync: "default" })
  bus = await openBus({ url: server.url, name: "tester" })
  await bus.ensureStreams()
  await startNode()
  const published = (async () => {
    if (bus !== undefined) for await (const _ of bus.publishMany(work(), { producer: "cli" }));
  })()
  await fault(() => countOf("work.done"))
  await published
  await until("all results are there", async () => (await countOf("work.done")) >= EVENTS, 60_000)
  const windows = Math.floor((EVENTS / KEYS - 1) / 20) * KEYS
  await until("all windows are there", async () => (await countOf("work.summed")) >= windows, 60_000)
  await until("all are booked", async () => (await countOf("work.booked")) >= EVENTS, 60_000)
  checkDone(await resultsOf("work.done"))
  await checkBooked(await resultsOf("work.booked"))
  checkWindows(await resultsOf("work.summed"))
}

test(
  "kill -9 of the node in the middle of 10,000 events: one result each, in order, windows too",
  { timeout: 150_000 },
  () =>
    runWithFaults(async (progress) => {
      for (const share of [0.2, 0.5, 0.8]) {
        await until(`${share} of the work is done`, async () => (await progress()) > EVENTS * share, 60_000)
        await nodes.at(-1)?.kill9()
        await startNode()
      }
    }),
)

test("kill -9 of the nats-server in the same run: the same", { timeout: 150_000 }, () =>
  runWithFaults(async (progress) => {
    for (const share of [0.3, 0.7]) {
      await until(`${share} of the work is done`, async () => (await progress()) > EVENTS * share, 60_000)
      await server?.kill9()
      await server?.restart()
    }
  }),
)
