import { afterEach, expect, test } from "vitest"
import { z } from "zod"
import { type AgentDefinition, defineAgent } from "../src/agents/define-agent.js"
import { tumbling } from "../src/agents/windows/operators.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import { listDurables } from "../src/bus/consumers.js"
import { defineEvent } from "../src/bus/define-event.js"
import { streamNames } from "../src/bus/stream-admin.js"
import type { StreamLayout } from "../src/bus/subjects.js"
import { openBuckets } from "../src/node/buckets.js"
import { applyPlan, planDeployment } from "../src/node/deployment/deploy.js"
import type { Plan, PlannedChange } from "../src/node/deployment/plan.js"
import { MESH_FORMAT, STAMP_KEY } from "../src/node/deployment/stamp.js"
import type { DeployOptions } from "../src/node/deployment/wanted.js"
import { MurmurNode } from "../src/node/node.js"
import { defineSource } from "../src/sources/source.js"
import { noTelemetry } from "../src/telemetry/ports.js"
import { until } from "./support/mesh.js"
import { startTestServer, type TestServer, type TestServerOptions } from "./support/nats-server.js"

const Thing = defineEvent("thing.made", z.object({ n: z.number() }), { key: (d) => `k${d.n % 20}` })

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function server(options?: TestServerOptions): Promise<TestServer> {
  const started = await startTestServer(options)
  closing.push(() => started.stop())
  return started
}

async function connect({ url }: { url: string }, layout?: StreamLayout): Promise<Bus> {
  const bus = await openBus({ url, name: "test", mesh: "test", layout })
  closing.push(() => bus.close())
  return bus
}

async function startNode(bus: Bus, ...agents: AgentDefinition[]): Promise<MurmurNode> {
  const node = await MurmurNode.start({ bus, telemetry: noTelemetry, agents, sources: [] })
  closing.push(() => node.stop(2_000))
  return node
}

/** An agent that writes down what it is given. */
function worker(
  handled: number[],
  options: {
    on?: string[]
    partitions?: 1 | 8
    inflightMax?: number
    name?: string
    onEach?: () => Promise<void>
  } = {},
): AgentDefinition {
  const { on = ["thing.made"], name = "worker", onEach, ...rest } = options
  return defineAgent(name, {
    on,
    ...rest,
    async handle(event) {
      await onEach?.()
      handled.push((event.data as { n: number }).n)
    },
  })
}

const idle = (name = "worker", options: { on?: string[]; partitions?: 1 | 8; inflightMax?: number } = {}) =>
  worker([], { name, ...options })

const of = (...agents: AgentDefinition[]): DeployOptions => ({ agents, sources: [] })
const pending = ({ changes }: Plan): PlannedChange[] => changes.filter(({ action }) => action !== "none")
const named = (changes: readonly PlannedChange[], action: PlannedChange["action"]): string[] =>
  changes.filter((change) => change.action === action).map(({ kind, name }) => `${kind} ${name}`)

async function deploy(bus: Bus, options: DeployOptions): Promise<string[]> {
  return applyPlan(await planDeployment(bus, options), AbortSignal.timeout(30_000))
}

const publish = async (bus: Bus, from: number, count: number): Promise<void> => {
  for (let n = from; n < from + count; n++) await bus.publish(Thing({ n }), { producer: "cli" })
}

const consumers = async (bus: Bus): Promise<string[]> =>
  [...(await listDurables(bus.link, bus.names.events)).keys()].sort()
const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, n) => from + n)
const sorted = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b)

test("a new mesh is planned without a trace on the server, made, and then there is nothing to do, for nodes neither", async () => {
  const bus = await connect(await server(), "agent")
  const agents = [idle("worker", { partitions: 8 }), idle("other")]
  const options = { agents, sources: [defineSource("clock", { emits: [Thing], run: async () => {} })] }
  const plan = await planDeployment(bus, options)
  expect(new Set(plan.changes.map(({ action }) => action))).toEqual(new Set(["create"]))
  expect(await streamNames(bus.link, ">")).toEqual([])
  const names = named(plan.changes, "create")
  expect(names).toEqual(expect.arrayContaining(["stream test_SESSIONS_worker", "stream test_STEPS_other"]))
  expect(names).toEqual(
    expect.arrayContaining(["bucket test_MEMOS", "bucket test_llm-cache", "object store test_ARTIFACTS"]),
  )
  expect(names).toEqual(
    expect.arrayContaining([
      "consumer worker=7",
      "consumer worker=inbox=0",
      "consumer wake=other",
      "consumer due_clock",
    ]),
  )
  expect(names).toEqual(
    expect.arrayContaining(["route worker/thing.made", "record source.clock", "setting inbox.worker"]),
  )
  await applyPlan(plan, AbortSignal.timeout(30_000))
  expect(pending(await planDeployment(bus, options))).toEqual([])
  const before = { consumers: await consumers(bus), streams: (await streamNames(bus.link, ">")).sort() }
  await startNode(await connect({ url: bus.link.connection.getServer() }), ...agents)
  expect({ consumers: await consumers(bus), streams: (await streamNames(bus.link, ">")).sort() }).toEqual(before)
  expect(before.streams).not.toContain("test_SESSIONS")
})

test("several deployments of a new mesh at once end in one mesh", async () => {
  const target = await server()
  const buses = await Promise.all([connect(target), connect(target), connect(target)] as const)
  await Promise.all(buses.map((bus) => deploy(bus, of(idle("worker", { partitions: 8 })))))
  const [bus] = buses
  expect(pending(await planDeployment(bus, of(idle("worker", { partitions: 8 }))))).toEqual([])
})

test("what is changed is shown with both values, and changed; what an operator added stays", async () => {
  const bus = await connect(await server())
  await deploy(bus, of(idle("worker", { on: ["thing.made", "thing.old"] })))
  const { link, names } = bus
  await link.manager.streams.update(names.events, { max_bytes: 1_000_000_000 })
  await link.manager.streams.update(names.dead, { allow_direct: false })
  const next = of(idle("worker", { on: ["thing.made", "thing.new"], inflightMax: 7 }))
  const plan = await planDeployment(bus, next)
  expect(named(plan.changes, "create")).toEqual(["route worker/thing.new"])
  expect(named(plan.changes, "remove")).toEqual(["route worker/thing.old"])
  expect(named(plan.changes, "update")).toEqual(["stream test_DEAD", "record agent.worker", "consumer worker"])
  const consumer = plan.changes.find(({ kind, action }) => kind === "consumer" && action === "update")
  expect(consumer?.differences).toEqual(
    expect.arrayContaining([{ setting: "max_ack_pending", found: 1000, wanted: 7 }]),
  )
  await applyPlan(plan, AbortSignal.timeout(30_000))
  expect(pending(await planDeployment(bus, next))).toEqual([])
  const kept = pending(await planDeployment(bus, { ...next, retention: { eventsBytesMax: 2_000_000_000 } }))
  expect(kept).toMatchObject([{ name: "test_EVENTS", differences: [{ found: 1_000_000_000, wanted: 2_000_000_000 }] }])
})

test("more partitions go on where one stood: nothing is lost, nothing comes twice, the old consumers are gone", async () => {
  const bus = await connect(await server())
  const before: number[] = []
  await deploy(bus, of(worker(before)))
  const old = await startNode(bus, worker(before))
  await publish(bus, 0, 40)
  await until("all are handled", () => before.length === 40)
  await old.stop(2_000)
  await publish(bus, 40, 40)
  const after: number[] = []
  const wider = worker(after, { partitions: 8 })
  const plan = await planDeployment(bus, of(wider))
  expect(named(plan.changes, "remove")).toEqual(["consumer worker", "consumer worker=inbox"])
  expect(plan.cautions).toEqual([])
  await applyPlan(plan, AbortSignal.timeout(30_000))
  expect(await consumers(bus)).toEqual([
    ...range(0, 8).map((n) => `worker=${n}`),
    ...range(0, 8).map((n) => `worker=inbox=${n}`),
  ])
  await startNode(await connect({ url: bus.link.connection.getServer() }), wider)
  await publish(bus, 80, 20)
  await until("all are handled", () => after.length >= 60)
  expect(sorted(after)).toEqual(range(40, 60))
})

test("fewer partitions wait for the backlog; then they begin where all stood, however long one was idle", async () => {
  const bus = await connect(await server())
  const before: number[] = []
  let held = Promise.resolve()
  let release = (): void => {}
  const wide = worker(before, { partitions: 8, onEach: () => held })
  await deploy(bus, of(wide))
  const old = await startNode(bus, wide)
  await publish(bus, 0, 40)
  await until("all are handled", () => before.length === 40)
  for (let n = 0; n < 30; n++) await bus.publish(Thing({ n: 100 }), { producer: "cli" }) // one key: seven are idle
  await until("all are handled", () => before.length === 70)
  held = new Promise((resolve) => {
    release = resolve
  })
  await publish(bus, 200, 1)
  const after: number[] = []
  const narrow = worker(after)
  await until("it is being handled", async () => (await planDeployment(bus, of(narrow))).cautions.length === 1)
  const [caution] = (await planDeployment(bus, of(narrow))).cautions
  expect(caution).toContain('"worker" goes from 8 to 1 partitions while 1 of its events wait')
  release()
  await until("nothing waits", async () => (await planDeployment(bus, of(narrow))).cautions.length === 0)
  await old.stop(2_000)
  await deploy(bus, of(narrow))
  expect(await consumers(bus)).toEqual(["worker", "worker=inbox"])
  await startNode(await connect({ url: bus.link.connection.getServer() }), narrow)
  await publish(bus, 300, 5)
  await until("the new ones are handled", () => after.length >= 5)
  expect(sorted(after)).toEqual(range(300, 5))
})

test("a node that may deploy goes on with fewer partitions at once, and loses nothing of what waits", async () => {
  const bus = await connect(await server())
  await deploy(bus, of(idle("worker", { partitions: 8 })))
  await publish(bus, 0, 40)
  const handled: number[] = []
  await startNode(bus, worker(handled))
  await until("all are handled", () => handled.length === 40)
  expect(sorted(handled)).toEqual(range(0, 40))
  expect(await consumers(bus)).toEqual(["worker", "worker=inbox"])
})

test("a pipeline that has windows keeps its partitions", async () => {
  const bus = await connect(await server())
  const pipeline = (partitions: 1 | 8): AgentDefinition =>
    defineAgent("pipeline", {
      on: [Thing],
      emits: [defineEvent("things.counted", z.object({ count: z.number() }))],
      partitions,
      react: (things$) => things$.pipe(tumbling(50)) as never,
    })
  const node = await startNode(bus, pipeline(1))
  expect((await planDeployment(bus, of(pipeline(8)))).refusals).toEqual([]) // nothing is kept yet
  await bus.publisher.append("test.ses.pipeline._windows.0", Buffer.from("{}"), 0)
  const plan = await planDeployment(bus, of(pipeline(8)))
  expect(plan.refusals).toEqual([expect.stringContaining("cannot go from 1 to 8 partitions")])
  await expect(applyPlan(plan, AbortSignal.timeout(1_000))).rejects.toMatchObject({ code: "DEPLOY_REFUSED" })
  await expect(startNode(bus, pipeline(8))).rejects.toMatchObject({ code: "DEPLOY_REFUSED" })
  await expect(node.replace({ agents: [pipeline(8)], sources: [] })).rejects.toMatchObject({ code: "DEPLOY_REFUSED" })
  expect(node.hosts.map(({ agent }) => agent.partitions)).toEqual([1])
})

test("the layout is changed while there is nothing in it, and not once there are sessions or nodes", async () => {
  const target = await server()
  const common = await connect(target, "mesh")
  await deploy(common, of(idle()))
  const own = await connect(target, "agent")
  const plan = await planDeployment(own, of(idle()))
  expect(named(plan.changes, "remove").sort()).toEqual(["stream test_SESSIONS", "stream test_STEPS"])
  const node = await startNode(common, idle())
  expect((await planDeployment(own, of(idle()))).refusals).toEqual([expect.stringContaining("while nodes run")])
  await node.stop(2_000)
  await deploy(own, of(idle()))
  expect((await streamNames(own.link, ">")).filter((name) => /SESSIONS/.test(name))).toEqual(["test_SESSIONS_worker"])
  await own.publisher.append("test.ses.worker.k", Buffer.from("{}"), 0)
  const { refusals } = await planDeployment(common, of(idle()))
  expect(refusals).toEqual([expect.stringContaining("test_SESSIONS_worker")])
})

test("what is gone from the code is pruned when asked, not its sessions, and not what a node hosts", async () => {
  const bus = await connect(await server(), "agent")
  const both = { agents: [idle("stays"), idle("goes", { partitions: 8 })], sources: [] }
  await deploy(bus, both)
  await bus.publisher.append("test.ses.goes.k", Buffer.from("{}"), 0)
  const rest = of(idle("stays"))
  expect(pending(await planDeployment(bus, rest))).toEqual([])
  expect(pending(await planDeployment(bus, { ...rest, prune: true, keep: ["goes"] }))).toEqual([])
  const node = await startNode(bus, ...both.agents)
  expect((await planDeployment(bus, { ...rest, prune: true })).refusals).toEqual([expect.stringContaining(node.id)])
  await node.stop(2_000)
  await deploy(bus, { ...rest, prune: true })
  expect(await consumers(bus)).toEqual(["stays", "stays=inbox"])
  const { catalogue, routes, settings } = await openBuckets(bus)
  const keys: string[] = []
  for (const bucket of [catalogue, routes, settings]) for await (const { key } of bucket.entries()) keys.push(key)
  expect(keys.filter((key) => key.includes("goes"))).toEqual([])
  expect(await streamNames(bus.link, "test.ses.goes.>")).toEqual(["test_SESSIONS_goes"])
  await deploy(bus, both)
  await deploy(bus, { ...rest, prune: true, pruneSessions: true })
  expect(await streamNames(bus.link, "test.ses.goes.>")).toEqual([])
  expect(await streamNames(bus.link, "test.ses.stays.>")).toEqual(["test_SESSIONS_stays"])
})

test("a mesh of a newer form is left alone, and says which murmur to run", async () => {
  const bus = await connect(await server())
  await deploy(bus, of(idle()))
  const { settings } = await openBuckets(bus)
  await settings.put(STAMP_KEY, { format: MESH_FORMAT + 1, version: "9.9.9", at: new Date().toISOString() })
  const tooNew = { code: "MESH_TOO_NEW", message: expect.stringContaining("Run murmur 9.9.9 or newer") }
  await expect(planDeployment(bus, of(idle()))).rejects.toMatchObject(tooNew)
  await expect(startNode(bus, idle())).rejects.toMatchObject(tooNew)
})

test("what the server changes of no stream is refused before anything is done", async () => {
  const bus = await connect(await server())
  const { manager } = bus.link
  await manager.streams.add({ name: "test_DEAD", subjects: ["test.dead.>"], storage: "memory", max_consumers: 5 })
  const plan = await planDeployment(bus, of(idle()))
  expect(plan.refusals).toEqual([
    expect.stringContaining('storage of stream test_DEAD is "memory" and must be "file"'),
    expect.stringContaining("max_consumers of stream test_DEAD is 5"),
  ])
  await expect(applyPlan(plan, AbortSignal.timeout(1_000))).rejects.toMatchObject({ code: "DEPLOY_REFUSED" })
  expect(await streamNames(bus.link, ">")).toEqual(["test_DEAD"])
})

test("an account that allows fewer consumers than a stream may have is told what to raise", async () => {
  const { port } = await server({
    config: "accounts { A { jetstream { max_consumers: 900 }, users: [{ user: a, password: a }] } }",
  })
  const bus = await connect({ url: `nats://a:a@127.0.0.1:${port}` })
  await expect(deploy(bus, of(idle()))).rejects.toMatchObject({
    code: "STREAM_MIGRATE",
    message: expect.stringContaining("leave max_consumers of the account unlimited"),
  })
})

test("nodes with other code of an agent are told before its routes change", async () => {
  const bus = await connect(await server())
  const node = await startNode(bus, idle())
  const { warnings } = await planDeployment(
    bus,
    of(idle("worker", { on: ["thing.made", "thing.new"], inflightMax: 3 })),
  )
  expect(warnings).toEqual([expect.stringContaining(`Node "${node.id}" runs other code of "worker"`)])
  const wider = await planDeployment(bus, of(idle("worker", { partitions: 8 })))
  expect(wider.warnings).toEqual([expect.stringContaining("with 1 partitions: it takes nothing more of it")])
})

test("whoever may not make consumers is told to log in as the deployer", async () => {
  const config = `authorization { users: [
    { user: boss, password: b },
    { user: node, password: n, permissions: { publish: { allow: ["$SYS.REQ.USER.INFO", "test.ev.>"] } } } ] }`
  const { port } = await server({ config })
  const bus = await connect({ url: `nats://node:n@127.0.0.1:${port}` })
  await expect(planDeployment(bus, of(idle()))).rejects.toMatchObject({
    code: "DEPLOY_RIGHTS",
    message: expect.stringContaining('user "node"'),
  })
})
