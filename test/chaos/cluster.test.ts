import { setTimeout as delay } from "node:timers/promises"
import { afterEach, expect, test } from "vitest"
import { until } from "../support/mesh.js"
import { startTestCluster, type TestCluster } from "../support/nats-cluster.js"
import type { TestServer } from "../support/nats-server.js"
import { Bank } from "./support/bank.js"
import { chance, LASTS_MS, longTest } from "./support/scale.js"
import { standstills } from "./support/standstills.js"

let bank: Bank
let cluster: TestCluster
afterEach(() => bank?.close())

/** How many calls of the bank may be under way in a node. */
const CONCURRENCY = 64
const NODES = 4
/** Servers elect another leader after 4 to 9 s, and again when two of them wanted to be it. */
const SERVER_LOST_MS = 20_000
/** A client leaves a server that stands still when two pings, 5 s apart, were not answered; then comes the election's half. */
const SERVER_STILL_MS = 30_000
/** A pin runs out 3 s after the last pull of its owner. */
const NODE_LOST_MS = 10_000

/** Something that happens to the mesh, and for how long no partition may stand still then. */
interface Fault {
  readonly what: string
  readonly boundMs: number
  happen(): Promise<void>
}

test("the servers that lead events and sessions are killed, and a node: nothing is lost, nothing twice, all goes on", {
  timeout: 240_000,
}, async () => {
  await openBank()
  const { names } = bank.bus
  await underLoad([killLeader(names.events), killNode(), killLeader(names.sessionsOf("teller"))])
  await bank.check({ withinMs: 60_000 })
  expect(bank.paidTwice()).toBeLessThanOrEqual(3 * NODES * CONCURRENCY)
})

longTest("servers that stand still for longer than an election takes", { timeout: 600_000 }, async () => {
  await openBank()
  const { names } = bank.bus
  await underLoad([standStill(names.events), standStill(names.sessionsOf("teller")), standStill(names.timers)])
  await bank.check({ withinMs: 60_000 })
})

longTest("all servers are started anew, one after the other, and all nodes", { timeout: 600_000 }, async () => {
  await openBank()
  const servers = cluster.servers.map((server, place) => ({
    what: `server ${place} started anew`,
    boundMs: SERVER_LOST_MS,
    happen: async () => {
      await server.restart()
      await cluster.healthy(60_000)
    },
  }))
  await underLoad([...servers, ...Array.from({ length: NODES }, replaceNode)])
  await bank.check({ withinMs: 60_000 })
})

longTest("servers and nodes are killed at random", { timeout: LASTS_MS + 600_000 }, async () => {
  const random = chance()
  await openBank()
  const end = Date.now() + LASTS_MS
  const faults = function* (): Generator<Fault> {
    const streams = [bank.bus.names.events, bank.bus.names.sessionsOf("teller"), bank.bus.names.stepsOf("teller")]
    while (Date.now() < end) yield random() < 0.5 ? killNode() : killLeader(streams[Math.floor(random() * 3)] ?? "")
  }
  await underLoad(faults())
  await bank.check({ withinMs: 120_000 })
})

/** A cluster of three, all in three copies, and four nodes. */
async function openBank(): Promise<void> {
  cluster = await startTestCluster()
  bank = await Bank.open({ cluster, env: { CALL_MS: "20" } })
  for (let node = 0; node < NODES; node++) await bank.startNode()
  const { streams } = bank.bus.link.manager
  // what the nodes made for themselves gets copies, too
  for await (const { config } of streams.list()) {
    if (config.num_replicas !== 3) await streams.update(config.name, { num_replicas: 3 })
  }
  await cluster.healthy()
}

/** SIGKILL of the server that leads a stream. It stays away until all goes on without it. */
function killLeader(stream: string): Fault {
  const happen = async (): Promise<void> => {
    const server = await leaderOf(stream)
    await server.kill9()
    await untilMoving()
    await server.restart()
    await cluster.healthy(60_000)
  }
  return { what: `the leader of ${stream} killed`, boundMs: SERVER_LOST_MS, happen }
}

function standStill(stream: string): Fault {
  const happen = async (): Promise<void> => {
    const server = await leaderOf(stream)
    server.pause()
    await payElsewhere(server)
    await delay(25_000)
    server.resume()
    await cluster.healthy(60_000)
  }
  return { what: `the leader of ${stream} stood still`, boundMs: SERVER_STILL_MS, happen }
}

/** It is the nodes that are looked at: whoever pays does not wait with the server. */
async function payElsewhere({ port }: TestServer): Promise<void> {
  const { connection } = bank.bus.link
  if (connection.getServer().endsWith(`:${port}`)) await connection.reconnect()
}

function killNode(): Fault {
  const happen = async (): Promise<void> => {
    await bank.nodes.shift()?.kill9()
    await untilMoving()
    await bank.startNode()
  }
  return { what: "a node killed", boundMs: NODE_LOST_MS, happen }
}

function replaceNode(): Fault {
  const happen = async (): Promise<void> => {
    await bank.startNode()
    expect(await bank.nodes.shift()?.terminate()).toBe(0)
  }
  return { what: "a node replaced", boundMs: NODE_LOST_MS, happen }
}

async function leaderOf(stream: string): Promise<TestServer> {
  return cluster.servers[await cluster.leaderOf(stream)] as TestServer
}

/** Pays without pause while one fault after the other happens; then no partition may have stood still for too long. */
async function underLoad(faults: Iterable<Fault>): Promise<void> {
  const happened: (Fault & { readonly from: number; readonly to: number })[] = []
  let over = false
  const paying = (async () => {
    while (!over) {
      await bank.pay(50)
      await until("not too far ahead", async () => bank.paid - ((await receipts()) ?? 0) < 300, 60_000)
    }
  })()
  try {
    await untilMoving()
    for (const fault of faults) {
      const from = Date.now()
      await fault.happen()
      await untilMoving()
      happened.push({ ...fault, from, to: Date.now() })
    }
  } finally {
    over = true
  }
  await paying
  for (const { what, boundMs, from, to } of happened) {
    const [longest = { partition: "", ms: 0 }] = await standstills(bank.bus, from, to)
    process.stderr.write(`${what}: ${longest.partition} stood still for ${longest.ms} ms\n`)
    expect(longest.ms, `${what}: ${longest.partition} stood still`).toBeLessThan(boundMs)
  }
}

const receipts = (): Promise<number | undefined> => bank.countOf("bank.receipt")

/** Payments that were made from now on have been booked. */
async function untilMoving(): Promise<void> {
  const before = bank.paid
  await until("work goes on", async () => ((await receipts()) ?? 0) > before + 200, 60_000)
}
