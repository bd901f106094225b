import { afterEach, expect, test } from "vitest"
import { z } from "zod"
import { type AgentDefinition, defineAgent } from "../src/agents/define-agent.js"
import { artifactsStream } from "../src/bus/artifacts.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import { defineEvent } from "../src/bus/define-event.js"
import { streamInfo } from "../src/bus/streams.js"
import { applyPlan, planDeployment } from "../src/node/deployment/deploy.js"
import type { DeployOptions } from "../src/node/deployment/wanted.js"
import { MurmurNode } from "../src/node/node.js"
import { noTelemetry } from "../src/telemetry/ports.js"
import { until } from "./support/mesh.js"
import { startTestCluster } from "./support/nats-cluster.js"
import { startTestServer } from "./support/nats-server.js"

const Paid = defineEvent("bill.paid", z.object({ n: z.number() }), { key: (d) => `k${d.n % 50}` })
const Booked = defineEvent("bill.booked", z.object({ n: z.number() }))

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function connect(url: string): Promise<Bus> {
  const bus = await openBus({ url, name: "test", mesh: "test" })
  closing.push(() => bus.close())
  return bus
}

async function startNode(url: string, agent: AgentDefinition): Promise<MurmurNode> {
  const bus = await connect(url)
  const node = await MurmurNode.start({ bus, telemetry: noTelemetry, agents: [agent], sources: [] })
  closing.push(() => node.stop(2_000))
  return node
}

const deploy = async (bus: Bus, options: DeployOptions): Promise<string[]> =>
  applyPlan(await planDeployment(bus, options), AbortSignal.timeout(30_000))

/** Books each bill once in its session; what it has booked it tells. */
const booker = (partitions: 1 | 8): AgentDefinition =>
  defineAgent("booker", {
    on: [Paid],
    emits: [Booked],
    partitions,
    state: {
      initial: { booked: [] as number[] },
      evolve: { Booked: (s, n: number) => ({ booked: [...s.booked, n] }) },
    },
    handle(event, ctx) {
      ctx.record("Booked", event.data.n)
      ctx.emit(Booked(event.data))
    },
  }) as AgentDefinition

test("partitions are changed while events flow and the old node still runs: each event is booked once", async () => {
  const server = await startTestServer()
  closing.push(() => server.stop())
  const bus = await connect(server.url)
  await deploy(bus, { agents: [booker(1)], sources: [] })
  const old = await startNode(server.url, booker(1))
  let published = 0
  let flowing = true
  const flow = (async () => {
    while (flowing) await bus.publish(Paid({ n: published++ }), { producer: "cli" })
  })()
  const booked: number[] = []
  const reading = new AbortController()
  closing.push(async () => reading.abort())
  const watching = (async () => {
    const { signal } = reading
    for await (const { data } of bus.observe("bill.booked", { from: "start", signal }))
      booked.push((data as { n: number }).n)
  })()
  await until("it works", () => booked.length > 100)
  await deploy(bus, { agents: [booker(8)], sources: [] })
  await startNode(server.url, booker(8))
  const then = booked.length
  await until("the new partitions work", () => booked.length > then + 200)
  await old.stop(2_000)
  flowing = false
  await flow
  await until("all are booked", () => new Set(booked).size === published)
  reading.abort()
  await watching
  expect([...booked].sort((a, b) => a - b)).toEqual(Array.from({ length: published }, (_, n) => n))
}, 60_000)

test("on a cluster everything is kept in three copies; other copies are an update of everything", async () => {
  const cluster = await startTestCluster()
  closing.push(() => cluster.stop())
  const bus = await connect(cluster.url)
  const options = { agents: [booker(8)], sources: [] }
  await deploy(bus, options)
  const { names, link } = bus
  const copies = async (): Promise<Set<number>> => {
    const streams = [names.events, names.sessionsOf("booker"), names.dead, names.timers, names.budgets, names.usage]
    const all = [...streams, "KV_test_routes", "KV_test_presence", "KV_test_MEMOS", artifactsStream(names)]
    return new Set(
      await Promise.all(all.map(async (name) => (await streamInfo(link.manager, name))?.config.num_replicas ?? 0)),
    )
  }
  const peersOf = async (): Promise<number> => {
    const info = await link.manager.consumers.info(names.events, "booker=3")
    return 1 + ((info as { cluster?: { replicas?: unknown[] } }).cluster?.replicas?.length ?? 0)
  }
  expect(await copies()).toEqual(new Set([3]))
  expect(await peersOf()).toBe(3)
  const one = await planDeployment(bus, { ...options, retention: { replicas: 1 } })
  const changed = one.changes.filter(({ action }) => action !== "none")
  expect(changed.length).toBeGreaterThan(15)
  for (const { differences } of changed) expect(differences).toEqual([{ setting: "num_replicas", found: 3, wanted: 1 }])
  await applyPlan(one, AbortSignal.timeout(60_000))
  expect(await copies()).toEqual(new Set([1]))
  expect((await planDeployment(bus, options)).changes.filter(({ action }) => action !== "none")).toEqual([])
  await deploy(bus, { ...options, retention: { replicas: 3 } })
  expect(await copies()).toEqual(new Set([3]))
  await until("the consumers follow their stream", async () => (await peersOf()) === 3)
}, 120_000)
