import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { z } from "zod"
import { defineAgent } from "../src/agents/define-agent.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import { defineEvent } from "../src/bus/define-event.js"
import { setPaused } from "../src/node/agent-control.js"
import { openBuckets } from "../src/node/buckets.js"
import { drainNode } from "../src/node/drain.js"
import { drainKey } from "../src/node/drain-wish.js"
import { buildCli, errorOf, jsonOf, murmur, murmurAt } from "./cli/support/cli.js"
import { testBinary } from "./support/binary.js"
import { checkMesh } from "./support/checker.js"
import { startMesh, until } from "./support/mesh.js"
import { startTestServer } from "./support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "./support/node-process.js"

const FIXTURE = fileURLToPath(new URL("./fixtures/booking.ts", import.meta.url))
const KEYS = 40

const Paid = defineEvent("bank.paid", z.object({ account: z.string(), n: z.number() }), { key: (d) => d.account })
const Booked = defineEvent("bank.booked", z.object({ n: z.number(), count: z.number() }))

const closing: (() => Promise<unknown> | unknown)[] = []
beforeAll(buildCli)
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "murmur-drain-"))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Publishes payments until it is told to stop; how many it was told when it has. */
function payments(bus: Bus, everyMs = 0): { published: number; stop(): Promise<number> } {
  let flowing = true
  const flow = {
    published: 0,
    async stop() {
      flowing = false
      await done
      return flow.published
    },
  }
  const drafts = async function* () {
    for (let n = 0; flowing; n++) {
      if (n % 20 === 0) await new Promise((resolve) => setTimeout(resolve, everyMs))
      yield Paid({ account: `account ${n % KEYS}`, n })
    }
  }
  const done = (async () => {
    for await (const _ of bus.publishMany(drafts(), { producer: "cli" })) flow.published += 1
  })()
  done.catch(() => {}) // told by stop()
  return flow
}

async function booked(bus: Bus): Promise<number> {
  const query = { subjects_filter: bus.names.storedFilter(Booked.type) }
  const { state } = await bus.link.manager.streams.info(bus.names.events, query)
  return Object.values(state.subjects ?? {}).reduce((sum, n) => sum + n, 0)
}

/** Which clients the server has pinned to the agent's partitions. */
async function pins(bus: Bus): Promise<string[]> {
  const consumers = await bus.link.manager.consumers.list(bus.names.events).next()
  return consumers.flatMap((info) => {
    const { priority_groups: groups = [] } = info as { priority_groups?: { pinned_client_id?: string }[] }
    return groups.flatMap(({ pinned_client_id: pin }) => (pin ? [pin] : []))
  })
}

async function scene(runs: string) {
  const server = await startTestServer()
  closing.push(() => server.stop())
  const bus = await openBus({ url: server.url, name: "tester" })
  closing.push(() => bus.close())
  await bus.ensureStreams()
  const addNode = async (id: string): Promise<NodeProcess> => {
    const env = { RUNS_FILE: runs, MURMUR_NODE_ID: id }
    const node = await startNodeProcess([FIXTURE, "--nats", server.url, "--no-http"], { env })
    closing.push(() => (node.child.exitCode === null ? node.kill9() : undefined))
    return node
  }
  return { bus, addNode, cli: murmurAt(server.url) }
}

test("a node that is drained under load finishes, hands over at once and exits 0: no step is lost or run twice", {
  timeout: 60_000,
}, async () => {
  const runs = join(folder, "runs.txt")
  writeFileSync(runs, "")
  const { bus, addNode, cli } = await scene(runs)
  const first = await addNode("node-1")
  const load = payments(bus, 10)
  await until("the first node works", async () => (await booked(bus)) > 500)
  const second = await addNode("node-2")
  const pinned = await pins(bus)
  expect(pinned).toHaveLength(8)
  const drained = jsonOf<{ durationMs: number }>(await cli("drain", "node-1", "--json"))
  expect(drained).toEqual({
    node: "node-1",
    drained: true,
    durationMs: expect.any(Number),
    agents: [{ name: "booker", nodes: ["node-2"] }],
  })
  const left = (await pins(bus)).filter((pin) => pinned.includes(pin))
  expect(left, "the server knows at once that its partitions are free").toEqual([])
  await until("the first process is gone", () => first.child.exitCode !== null)
  expect(first.child.exitCode).toBe(0)
  await until("thousands are published", () => load.published > 3_000)
  const count = await load.stop()
  const { events, outputs, dead } = await checkMesh(bus, { agent: "booker", on: [Paid.type] })
  expect([events.size, outputs.length, dead.size]).toEqual([count, count, 0])
  const lines = readFileSync(runs, "utf8").trim().split("\n")
  expect(lines, "each event was handled by one node, once").toHaveLength(count)
  const pids = lines.map((line) => Number(line.split(" ")[1]))
  expect(new Set(pids), "both nodes worked").toEqual(new Set([first.child.pid, second.child.pid]))
  expect(await second.terminate()).toBe(0)
})

test("a later process of a drained node's name is not drained by the old wish", { timeout: 60_000 }, async () => {
  const { bus, addNode, cli } = await scene(join(folder, "later.txt"))
  const { settings } = await openBuckets(bus)
  const first = await addNode("node-1")
  await drainNode(bus, "node-1")
  expect(await settings.get(drainKey("node-1"))).toBeUndefined()
  await until("it is gone", () => first.child.exitCode === 0)
  // as if an earlier process of that name had died over the wish
  await settings.put(drainKey("node-1"), { since: "2020-01-01T00:00:00.000Z", at: "2020-01-01T00:00:00Z", by: "cli" })
  const second = await addNode("node-1")
  await until("the old wish is forgotten", async () => (await settings.get(drainKey("node-1"))) === undefined)
  const nodes = jsonOf<{ id: string }[]>(await cli("nodes", "--json"))
  expect(nodes.map(({ id }) => id)).toEqual(["node-1"])
  expect(await second.terminate()).toBe(0)
})

test("a node that takes its server along when it is drained is seen to leave all the same", {
  timeout: 60_000,
}, async () => {
  const env = { MURMUR_DIR: join(folder, "own"), NATS_SERVER_BIN: testBinary() }
  const args = [FIXTURE, "--nats-port", "0", "--no-http"]
  const node = await startNodeProcess(args, {
    env: { ...env, RUNS_FILE: join(folder, "own.txt"), MURMUR_NODE_ID: "solo" },
  })
  closing.push(() => (node.child.exitCode === null ? node.kill9() : undefined))
  const drained = await murmur(["drain", "solo", "--json"], { env })
  expect(jsonOf(drained)).toMatchObject({ node: "solo", agents: [{ name: "booker", nodes: [] }] })
  await until("the process is gone", () => node.child.exitCode !== null)
  expect(node.child.exitCode).toBe(0)
})

test("draining says which names are close, and which node does not answer", { timeout: 60_000 }, async () => {
  const { bus, addNode, cli } = await scene(join(folder, "silent.txt"))
  const node = await addNode("node-1")
  const unknown = await cli("drain", "nod-1", "--json")
  expect([unknown.code, errorOf(unknown)]).toEqual([
    1,
    { code: "NODE_UNKNOWN", message: 'There is no node "nod-1": did you mean "node-1"?' },
  ])
  node.child.kill("SIGSTOP")
  const silent = await cli("drain", "node-1", "--json")
  expect([silent.code, errorOf(silent).code]).toEqual([1, "DRAIN_NO_ANSWER"])
  expect(await (await openBuckets(bus)).settings.get(drainKey("node-1"))).toBeUndefined()
  node.child.kill("SIGCONT")
  expect((await cli("drain", "node-1")).stdout).toMatch(
    /^node-1 drained in .*\n {2}booker is on no other node: its events wait\n$/,
  )
})

test("pause, resume and hot swaps under load lose and double nothing of an agent with state", {
  timeout: 60_000,
}, async () => {
  const runs: string[] = []
  const version = (code: string) =>
    defineAgent("booker", {
      on: [Paid],
      emits: [Booked],
      from: "start",
      state: { initial: 0, evolve: { Booked: (count: number, _: { n: number }) => count + 1 }, snapshotEvery: 20 },
      async handle(event, ctx) {
        runs.push(`${event.id} ${code}`)
        await new Promise((resolve) => setTimeout(resolve, event.data.n % 4))
        ctx.record("Booked", { n: event.data.n })
        ctx.emit(Booked({ n: event.data.n, count: ctx.state }, { key: event.data.account }))
      },
    })
  const mesh = await startMesh({ agents: [version("one")] })
  closing.push(() => mesh.stop())
  const { bus, node } = mesh
  const load = payments(bus, 10)
  const goesOn = async (): Promise<void> => {
    const before = runs.length
    await until("it goes on", () => runs.length > before + 200)
  }
  for (const code of ["two", "three"]) {
    await goesOn()
    expect(await setPaused(bus, "booker", true)).toEqual({ behind: [] })
    await until("what had begun is done", () => node.hosts[0]?.inflight === 0)
    const paused = runs.length
    await node.replace({ agents: [version(code)], sources: [] })
    expect(runs.length, "a paused agent begins nothing, also not its next version").toBe(paused)
    expect(await setPaused(bus, "booker", false)).toEqual({ behind: [] })
    await goesOn()
    await node.replace({ agents: [version(`${code} again`)], sources: [] })
    await goesOn()
  }
  const count = await load.stop()
  const { events, sessions, outputs } = await checkMesh(bus, { agent: "booker", on: [Paid.type] })
  expect([events.size, outputs.length, runs.length]).toEqual([count, count, count])
  for (const commits of sessions.values()) {
    const counts = commits.flatMap((commit) => commit.outputs.map(({ data }) => (data as { count: number }).count))
    expect(counts, "the state goes on over the swaps").toEqual(counts.map((_, at) => at + 1))
  }
  expect(new Set(runs.map((run) => run.split(" ").slice(1).join(" "))).size).toBe(5)
})
