import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { z } from "zod"
import { type Bus, openBus } from "../src/bus/bus.js"
import { defineEvent } from "../src/bus/define-event.js"
import { followBucket } from "../src/node/bucket-follow.js"
import { openBuckets, PRESENCE_TTL_MS, PresenceRecord } from "../src/node/buckets.js"
import { drainNode } from "../src/node/drain.js"
import { silentLog } from "../src/telemetry/ports.js"
import { buildCli } from "./cli/support/cli.js"
import { checkMesh } from "./support/checker.js"
import { type Flow, flow } from "./support/flow.js"
import { until } from "./support/mesh.js"
import { startTestServer } from "./support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "./support/node-process.js"

const FIXTURE = fileURLToPath(new URL("./fixtures/booking.ts", import.meta.url))
const Paid = defineEvent("bank.paid", z.object({ account: z.string(), n: z.number() }), { key: (d) => d.account })
const KEYS = 100

const closing: (() => Promise<unknown> | unknown)[] = []
let folder: string
beforeAll(async () => {
  await buildCli()
  folder = mkdtempSync(join(tmpdir(), "murmur-scale-"))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface Scene {
  readonly bus: Bus
  addNode(id: string): Promise<NodeProcess>
  pay(everyMs: number): Flow
  /** Which process handled what, in the order in which it was begun. */
  runs(): { readonly event: string; readonly pid: number }[]
}

async function scene(): Promise<Scene> {
  const file = join(folder, "runs.txt")
  writeFileSync(file, "")
  const server = await startTestServer()
  closing.push(() => server.stop())
  const bus = await openBus({ url: server.url, name: "tester" })
  closing.push(() => bus.close())
  await bus.ensureStreams()
  const addNode = async (id: string): Promise<NodeProcess> => {
    const env = { RUNS_FILE: file, MURMUR_NODE_ID: id, MURMUR_LOG_LEVEL: "warn" }
    const node = await startNodeProcess([FIXTURE, "--nats", server.url, "--no-http"], { env })
    closing.push(() => (node.child.exitCode === null ? node.kill9() : undefined))
    return node
  }
  const runs = () =>
    readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => ({ event: line.split(" ")[0] ?? "", pid: Number(line.split(" ")[1]) }))
  const pay = (everyMs: number): Flow => flow(bus, (n) => Paid({ account: `account ${n % KEYS}`, n }), everyMs)
  return { bus, addNode, pay, runs }
}

/** How many partitions each node that is alive says it owns, as it changes. */
async function shares(bus: Bus): Promise<() => string> {
  const { presence } = await openBuckets(bus)
  const seen = new Map<string, { owned: number; at: number }>()
  const following = new AbortController()
  closing.push(() => following.abort())
  const note = ({ key, value }: { key: string; value: unknown }): void => {
    const record = PresenceRecord.safeParse(value).data
    if (record === undefined) seen.delete(key)
    else seen.set(key, { owned: record.agents[0]?.owned.length ?? 0, at: Date.now() })
  }
  await followBucket(presence, note, { signal: following.signal, log: silentLog })
  return () => {
    const alive = [...seen].filter(([, { at }]) => at > Date.now() - PRESENCE_TTL_MS)
    return alive
      .map(([id, { owned }]) => `${id}: ${owned}`)
      .sort()
      .join(", ")
  }
}

async function untilShared(bus: Bus, wanted: string): Promise<void> {
  const now = await shares(bus)
  await until(`the partitions lie as they should, ${wanted}`, () => now() === wanted, 30_000).catch((cause) => {
    throw new Error(`They lie so: ${now()}`, { cause })
  })
}

const repeated = (ids: readonly string[]): string[] => ids.filter((id, at) => ids.indexOf(id) !== at)

test("nodes that come get their even share while events flow, and nodes that are drained leave theirs: each event is handled once", {
  timeout: 120_000,
}, async () => {
  const { bus, addNode, pay, runs } = await scene()
  const first = await addNode("node-1")
  const load = pay(60)
  await untilShared(bus, "node-1: 8")
  await Promise.all([addNode("node-2"), addNode("node-3"), addNode("node-4")])
  await untilShared(bus, "node-1: 2, node-2: 2, node-3: 2, node-4: 2")
  const before = runs().length
  await until(
    "all of them work",
    () =>
      new Set(
        runs()
          .slice(before)
          .map(({ pid }) => pid),
      ).size === 4,
  )
  await drainNode(bus, "node-1")
  await until("its process has ended", () => first.child.exitCode === 0)
  await drainNode(bus, "node-3")
  await untilShared(bus, "node-2: 4, node-4: 4")
  const count = await load.stop()
  const { events, outputs, dead } = await checkMesh(bus, { agent: "booker", on: [Paid.type], withinMs: 60_000 })
  expect([events.size, outputs.length, dead.size]).toEqual([count, count, 0])
  expect(repeated(runs().map(({ event }) => event)), "no handler ran twice for one event").toEqual([])
  expect(runs()).toHaveLength(count)
})

test("when three of four nodes are killed one after the other, the rest takes their partitions, and each event counts once", {
  timeout: 120_000,
}, async () => {
  const { bus, addNode, pay, runs } = await scene()
  const nodes = await Promise.all(["node-1", "node-2", "node-3", "node-4"].map(addNode))
  const load = pay(60)
  await untilShared(bus, "node-1: 2, node-2: 2, node-3: 2, node-4: 2")
  const survivor = nodes.pop()
  for (const node of nodes) {
    const before = load.published
    await node.kill9()
    await until("more is published", () => load.published > before + 500)
  }
  await untilShared(bus, "node-4: 8")
  const count = await load.stop()
  const { events, outputs, dead } = await checkMesh(bus, {
    agent: "booker",
    on: [Paid.type],
    withinMs: 60_000,
    storedOnce: false,
  })
  expect([events.size, new Set(outputs.map(({ id }) => id)).size, dead.size]).toEqual([count, count, 0])
  expect(new Set(runs().map(({ event }) => event)).size).toBe(count)
  expect(await survivor?.terminate()).toBe(0)
})

test("a node that stands still looks alive to nobody: its partitions are taken, and given back when it goes on", {
  timeout: 120_000,
  skip: process.platform === "win32",
}, async () => {
  const { bus, addNode, pay } = await scene()
  const [first] = await Promise.all([addNode("node-1"), addNode("node-2")])
  const load = pay(60)
  await untilShared(bus, "node-1: 4, node-2: 4")
  first.child.kill("SIGSTOP")
  await untilShared(bus, "node-2: 8")
  first.child.kill("SIGCONT")
  await untilShared(bus, "node-1: 4, node-2: 4")
  const count = await load.stop()
  const { events, dead } = await checkMesh(bus, {
    agent: "booker",
    on: [Paid.type],
    withinMs: 60_000,
    storedOnce: false,
  })
  expect([events.size, dead.size]).toEqual([count, 0])
})
