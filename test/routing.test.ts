import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, expect, test } from "vitest"
import { z } from "zod"
import { type AgentDefinition, defineAgent, route } from "../src/agents/define-agent.js"
import { defineEvent } from "../src/bus/define-event.js"
import type { MurmurEvent } from "../src/bus/event.js"
import { agentRecord } from "../src/node/catalogue.js"
import { deployConsumers } from "../src/node/deployment/consumers.js"
import { Loader } from "../src/node/loader.js"
import { watchFiles } from "../src/node/watch.js"
import { LiveRoutes } from "../src/router/live.js"
import { liveRoute } from "../src/router/route.js"
import { addRoute, removeRoute } from "../src/router/route-bucket.js"
import { silentLog } from "../src/telemetry/ports.js"
import { startMesh, type TestMesh, take, until } from "./support/mesh.js"

const Thing = defineEvent("thing.made", z.object({ n: z.number() }), { key: (d) => `k${d.n % 7}` })
const Handled = defineEvent("thing.handled", z.object({ n: z.number(), by: z.string(), type: z.string() }))

const closing: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function start(...agents: AgentDefinition[]): Promise<TestMesh> {
  const mesh = await startMesh({ agents })
  closing.push(() => mesh.stop())
  return mesh
}

const handler = (name: string, on: Parameters<typeof defineAgent>[1]["on"], version = "1"): AgentDefinition =>
  defineAgent(name, {
    on,
    emits: [Handled],
    handle(event: MurmurEvent, ctx) {
      const { n } = event.data as { n: number }
      ctx.emit(Handled({ n, by: `${name} ${version}`, type: event.type }, { key: event.key ?? "" }))
    },
  })

const by = (events: readonly MurmurEvent[]) => events.map(({ data }) => (data as { by: string }).by)

/** What `murmur route add` does: tell the nodes first, then widen the consumer. */
async function changeRoutes(mesh: TestMesh, agent: AgentDefinition, change: () => Promise<unknown>): Promise<void> {
  await change()
  const bucket = await mesh.bus.bucket("routes")
  const stopping = new AbortController()
  const { table, revision } = await LiveRoutes.open(bucket, [], { signal: stopping.signal })
  stopping.abort()
  const presence = await mesh.bus.bucket("presence")
  await until("the node follows", async () => {
    const alive = (await presence.get(mesh.node.id))?.value as { routesRevision: number } | undefined
    return (alive?.routesRevision ?? 0) >= revision
  })
  await deployConsumers(mesh.bus, table, agentRecord(agent))
}

test("a route that is added and removed while events flow takes effect without a restart and without a missed event", async () => {
  const agent = handler("worker", [Thing])
  const mesh = await start(agent)
  const bucket = await mesh.bus.bucket("routes")
  let flowing = true
  const published: number[] = []
  const flow = (async () => {
    for (let n = 0; flowing; n++) {
      await mesh.bus.publish(Thing({ n }), { producer: "cli" })
      published.push(n)
    }
  })()
  const extra = liveRoute({ pattern: "other.>", agent: "worker" })
  await changeRoutes(mesh, agent, () => addRoute(bucket, extra))
  for (let n = 0; n < 50; n++) await mesh.bus.publish({ type: "other.x.y", data: { n } }, { producer: "cli" })
  await changeRoutes(mesh, agent, () => removeRoute(bucket, extra.id))
  await mesh.bus.publish({ type: "other.x.y", data: { n: 99 } }, { producer: "cli" })
  flowing = false
  await flow
  const handled = await take(mesh.bus, "thing.handled", published.length + 50)
  const of = (type: string) =>
    handled.filter(({ data }) => (data as { type: string }).type === type).map(({ data }) => (data as { n: number }).n)
  expect(of("thing.made").sort((a, b) => a - b)).toEqual(published)
  expect(of("other.x.y").sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, n) => n))
})

test("every matching route delivers; of exclusive ones only the highest, on whichever node it is", async () => {
  const exclusive = (priority: number, prefix: string) =>
    route(Thing, { exclusive: true, priority, filter: { prefix: { subject: prefix } } })
  const mesh = await start(handler("everyone", [Thing]), handler("low", [exclusive(1, "k")]))
  await mesh.addNode({ agents: [handler("high", [exclusive(2, "k3")])] })
  await until("the first node knows the second's route", async () => {
    const presence = await mesh.bus.bucket("presence")
    const revisions = []
    for await (const { value } of presence.entries())
      revisions.push((value as { routesRevision: number }).routesRevision)
    return revisions.length === 2 && new Set(revisions).size === 1
  })
  for (const n of [1, 2, 3]) await mesh.bus.publish(Thing({ n }), { producer: "cli" })
  const handled = await take(mesh.bus, "thing.handled", 6)
  const of = (n: number) => by(handled.filter(({ data }) => (data as { n: number }).n === n)).sort()
  expect([of(1), of(2), of(3)]).toEqual([
    ["everyone 1", "low 1"],
    ["everyone 1", "low 1"],
    ["everyone 1", "high 1"],
  ])
})

test("predicates see validated data, several of one event are alternatives, and one that throws is a dead letter", async () => {
  const agent = handler("picky", [
    Thing.where(({ data }) => data.n === 1),
    Thing.where(({ data }) => {
      if (data.n === 3) throw new Error("cannot decide")
      return data.n === 2
    }),
  ])
  const mesh = await start(agent)
  for (const n of [0, 1, 2, 3, 4]) await mesh.bus.publish(Thing({ n }), { producer: "cli" })
  const handled = await take(mesh.bus, "thing.handled", 2)
  expect(handled.map(({ data }) => (data as { n: number }).n)).toEqual([1, 2])
  await until("one is laid aside", () => mesh.node.hosts[0]?.stats.deadLetters === 1)
})

test("an edited agent file is swapped in while events flow, and none is lost or doubled", async () => {
  const folder = mkdtempSync(join(tmpdir(), "murmur-swap-"))
  closing.push(() => rmSync(folder, { recursive: true, force: true }))
  const write = (version: number, broken = ""): void =>
    writeFileSync(
      join(folder, "agent.ts"),
      `import { defineAgent, defineEvent } from "murmur"
       import { z } from "zod"
       const Handled = defineEvent("thing.handled", z.object({ n: z.number(), by: z.string(), type: z.string() }))
       export default defineAgent("worker", {
         on: ["thing.made"],
         emits: [Handled],
         handle(event: any, ctx) { ctx.emit(Handled({ n: event.data.n, by: "worker ${version}", type: event.type })) },
       })${broken}`,
    )
  write(1)
  const loader = new Loader([folder])
  const mesh = await startMesh(await loader.load())
  closing.push(() => mesh.stop())
  closing.push(await watchFiles(loader, mesh.node, silentLog))
  let flowing = true
  let count = 0
  const flow = (async () => {
    for (; flowing; count++) await mesh.bus.publish(Thing({ n: count }), { producer: "cli" })
  })()
  const seen = new Set<string>()
  const handled: MurmurEvent[] = []
  const reading = (async () => {
    for await (const event of mesh.bus.observe("thing.handled", {
      from: "start",
      signal: AbortSignal.timeout(30_000),
    })) {
      handled.push(event)
      seen.add(by([event])[0] ?? "")
      if (!flowing && handled.length >= count) return
    }
  })()
  for (const version of [2, 3]) {
    write(version, " this does not parse")
    write(version)
    await until(`version ${version} works`, () => seen.has(`worker ${version}`))
  }
  flowing = false
  await flow
  await mesh.bus.publish(Thing({ n: count++ }), { producer: "cli" })
  await reading
  expect(handled.map(({ data }) => (data as { n: number }).n).sort((a, b) => a - b)).toEqual(
    Array.from({ length: count }, (_, n) => n),
  )
})
