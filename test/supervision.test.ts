import { afterEach, expect, test } from "vitest"
import { z } from "zod"
import { defineAgent } from "../src/agents/define-agent.js"
import { HandlerHost } from "../src/agents/handler-host.js"
import { defineEvent } from "../src/bus/define-event.js"
import { setPaused } from "../src/node/agent-control.js"
import { DeadLetters } from "../src/node/dead-letter-store.js"
import { agentRecords, agentView, readConsumers, readMesh } from "../src/node/mesh-view.js"
import { MetricStore } from "../src/telemetry/metric-store.js"
import { noTelemetry } from "../src/telemetry/ports.js"
import { startMesh, type TestMesh, take, until } from "./support/mesh.js"

const Order = defineEvent("shop.order", z.object({ n: z.number(), shop: z.string() }), { key: (d) => d.shop })
const Seen = defineEvent("shop.seen", z.object({ n: z.number() }))

let mesh: TestMesh | undefined
afterEach(async () => {
  await mesh?.stop()
  mesh = undefined
})

/** What an agent needs that may be away. */
interface Dependency {
  broken: boolean
  calls: number[]
}

const fragile = (on: Dependency, supervision: object) =>
  defineAgent("fragile", {
    on: [Order],
    emits: [Seen],
    retry: { attempts: 20, backoffMs: 1, backoffMsMax: 5 },
    supervision,
    handle(event, ctx) {
      on.calls.push(event.data.n)
      if (on.broken) throw new Error("the shop is closed")
      ctx.emit(Seen({ n: event.data.n }, { key: event.data.shop }))
    },
  })

const orders = (count: number, shops = 5) =>
  Array.from({ length: count }, (_, n) => Order({ n, shop: `s${n % shops}` }))

async function publish(of: TestMesh, drafts: Parameters<TestMesh["bus"]["publishMany"]>[0]): Promise<void> {
  for await (const _ of of.bus.publishMany(drafts, { producer: "cli" }));
}

async function letters(of: TestMesh): Promise<string[]> {
  const reasons: string[] = []
  for await (const { letter } of new DeadLetters(of.bus).list()) {
    reasons.push(`${letter.reason} after ${letter.attempts.length}`)
  }
  return reasons
}

/** What `murmur agents` shows. */
async function view(of: Pick<TestMesh, "bus">, name: string) {
  const [state, consumers] = await Promise.all([readMesh(of.bus), readConsumers(of.bus)])
  const record = agentRecords(state).find((agent) => agent.name === name)
  return record && agentView(state, record, consumers)
}

const numbers = (events: readonly { data: unknown }[]) => events.map(({ data }) => (data as { n: number }).n)

/** Per key in order, none missing, none twice. */
function expectAllInOrder(handled: readonly number[], count: number, shops = 5): void {
  for (let shop = 0; shop < shops; shop++) {
    const expected = Array.from({ length: count }, (_, n) => n).filter((n) => n % shops === shop)
    expect(handled.filter((n) => n % shops === shop)).toEqual(expected)
  }
}

test("an agent whose every step fails is quarantined, keeps its backlog, and takes it up in order when it works again", async () => {
  const dependency: Dependency = { broken: true, calls: [] }
  const steady: number[] = []
  const other = defineAgent("steady", { on: [Order], handle: (event) => void steady.push(event.data.n) })
  const metrics = new MetricStore()
  mesh = await startMesh(
    { agents: [fragile(dependency, { quarantineMs: 400, quarantineMsMax: 800 }), other] },
    { telemetry: { ...noTelemetry, metrics } },
  )
  const { bus, node } = mesh
  const shown = () => view({ bus }, "fragile")
  await publish(mesh, orders(100))
  await until("it is seen as quarantined", async () => (await shown())?.state === "quarantined")
  expect(await shown()).toMatchObject({ lag: 100, steps: 0, deadLetters: 0 })
  expect(node.readiness()).toMatchObject({ ready: false })
  expect(node.readiness().checks).toContainEqual({ name: "agent fragile", ok: false, detail: "quarantined" })
  await until("the other agent is done", () => steady.length === 100)

  const quarantines = await take(bus, "murmur.agent.quarantined", 3)
  expect(quarantines[0]).toMatchObject({ producer: "murmur", key: "fragile", trust: "internal", hops: 0 })
  const [first, second, third] = quarantines.map(({ data }) => data as Record<string, unknown>)
  expect(first).toEqual({
    agent: "fragile",
    node: node.id,
    failures: expect.any(Number),
    times: 1,
    since: expect.stringMatching(/^\d{4}-/),
    untilAt: expect.stringMatching(/^\d{4}-/),
    error: { code: "ERROR", message: "the shop is closed" },
  })
  expect([second?.times, third?.times, second?.since]).toEqual([2, 3, first?.since])
  expect(Number(third?.failures)).toBeLessThan(20) // five events, whatever ran beside the fifth, two that tried
  expect(metrics.counters.get("murmur.agent.quarantines")?.series({ agent: "fragile" }).value).toBeGreaterThan(2)

  dependency.broken = false
  expectAllInOrder(numbers(await take(bus, "shop.seen", 100)), 100)
  const [recovered] = await take(bus, "murmur.agent.recovered", 1)
  expect(recovered).toMatchObject({ key: "fragile", data: { agent: "fragile", node: node.id, by: "success" } })
  expect(await letters(mesh)).toEqual([])
  expect(node.readiness().ready).toBe(true)
  await until("it is seen to run", async () => (await shown())?.state === "running")
  expect((await shown())?.lag).toBe(0)
})

test("while it is quarantined one event at a time tries, and nothing else runs", async () => {
  const dependency: Dependency = { broken: true, calls: [] }
  mesh = await startMesh({ agents: [fragile(dependency, { intensity: 3, quarantineMs: 100, quarantineMsMax: 100 })] })
  await publish(mesh, orders(50))
  await take(mesh.bus, "murmur.agent.quarantined", 1)
  const before = dependency.calls.length
  const quarantined = await take(mesh.bus, "murmur.agent.quarantined", 6)
  const failures = quarantined.map(({ data }) => (data as { failures: number }).failures)
  for (let n = 2; n < failures.length; n++) expect((failures[n] ?? 0) - (failures[n - 1] ?? 0)).toBe(1)
  expect(dependency.calls.length).toBeGreaterThan(before)
})

test("one poison event among healthy ones ends in the dead letters and quarantines nobody, nor does it alone", async () => {
  const handled: number[] = []
  const agent = defineAgent("picky", {
    on: [Order],
    retry: { attempts: 5, backoffMs: 1 },
    supervision: { quarantineMs: 600_000 },
    handle(event) {
      if (event.data.n % 1_000 === 7) throw new Error("poison")
      handled.push(event.data.n)
    },
  })
  mesh = await startMesh({ agents: [agent] })
  await publish(mesh, [Order({ n: 1_007, shop: "lonely" })])
  await until("it is laid aside", () => mesh?.node.hosts[0]?.stats.deadLetters === 1)
  await publish(mesh, orders(200))
  await until("the rest is done", () => handled.length === 199)
  expectAllInOrder(
    [...handled.slice(), 7].sort((a, b) => a - b),
    200,
  )
  expect(handled.filter((n) => n % 5 === 2)).toEqual([...handled.filter((n) => n % 5 === 2)].sort((a, b) => a - b))
  await until("both are laid aside", () => mesh?.node.hosts[0]?.stats.deadLetters === 2)
  expect(await letters(mesh)).toEqual(["failed after 5", "failed after 5"])
  expect(mesh.node.hosts[0]?.quarantined).toBe(false)
})

test("resuming ends a quarantine at once", async () => {
  const dependency: Dependency = { broken: true, calls: [] }
  mesh = await startMesh({ agents: [fragile(dependency, { quarantineMs: 600_000 })] })
  await publish(mesh, orders(50))
  await until("it is quarantined", () => mesh?.node.hosts[0]?.quarantined === true)
  dependency.broken = false
  expect(await setPaused(mesh.bus, "fragile", false)).toEqual({ behind: [] })
  expectAllInOrder(numbers(await take(mesh.bus, "shop.seen", 50)), 50)
  const [recovered] = await take(mesh.bus, "murmur.agent.recovered", 1)
  expect(recovered?.data).toMatchObject({ times: 1, by: "operator" })
  dependency.broken = true
  await publish(mesh, orders(50))
  await take(mesh.bus, "murmur.agent.quarantined", 2)
  dependency.broken = false
  await setPaused(mesh.bus, "fragile", false)
  await take(mesh.bus, "shop.seen", 100)
})

test("a node that stops in a quarantine tries nothing more; another one begins with all of the backlog", async () => {
  const dependency: Dependency = { broken: true, calls: [] }
  const agents = [fragile(dependency, { quarantineMs: 600_000 })]
  mesh = await startMesh({ agents })
  await publish(mesh, orders(50))
  await until("it is quarantined", () => mesh?.node.hosts[0]?.quarantined === true)
  const calls = dependency.calls.length
  const began = Date.now()
  await mesh.node.stop()
  expect(Date.now() - began).toBeLessThan(5_000)
  expect(dependency.calls.length).toBe(calls)
  dependency.broken = false
  await mesh.addNode({ agents })
  expectAllInOrder(numbers(await take(mesh.bus, "shop.seen", 50)), 50)
  expect(await letters(mesh)).toEqual([])
})

test("what a quarantine held back is not tried any more once another node has done it", async () => {
  const here: Dependency = { broken: true, calls: [] }
  const there: Dependency = { broken: false, calls: [] }
  mesh = await startMesh({ agents: [fragile(here, { quarantineMs: 600_000 })] })
  await publish(mesh, orders(50))
  const [host] = mesh.node.hosts
  await until("it is quarantined", () => host?.quarantined === true)
  const calls = here.calls.length
  await host?.pause() // as when the server gives its partition to another node
  await mesh.addNode({ agents: [fragile(there, {})] })
  expectAllInOrder(numbers(await take(mesh.bus, "shop.seen", 50)), 50)
  here.broken = false
  if (host instanceof HandlerHost) host.endQuarantine()
  await until("it has let go of them", () => host?.inflight === 0)
  expect(here.calls.length).toBe(calls)
  expect(there.calls.length).toBe(50)
})
