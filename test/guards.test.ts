import { setTimeout as delay } from "node:timers/promises"
import { map } from "rxjs"
import { afterEach, expect, test } from "vitest"
import { z } from "zod"
import type { DeadLetter } from "../src/agents/dead-letters.js"
import { type AgentDefinition, defineAgent } from "../src/agents/define-agent.js"
import { durableName, inboxDurableName } from "../src/agents/host.js"
import { parseSessionRecord } from "../src/agents/sessions/record.js"
import type { Bus } from "../src/bus/bus.js"
import { defineEvent } from "../src/bus/define-event.js"
import type { MurmurEvent } from "../src/bus/event.js"
import { readHistory } from "../src/bus/reader.js"
import { DeadLetters } from "../src/node/dead-letter-store.js"
import { resumeTree, trippedTrees } from "../src/node/guard-trees.js"
import { setLimits } from "../src/node/guards.js"
import { startMesh, type TestMesh, take, until } from "./support/mesh.js"

let mesh: TestMesh
afterEach(() => mesh?.stop())

const Count = z.object({ n: z.number() })
const Ping = defineEvent("game.ping", Count, { key: () => "table" })
const Pong = defineEvent("game.pong", Count, { key: () => "table" })
const Work = defineEvent("work.asked", Count, { key: (d) => `k${d.n % 10}` })

const ping = defineAgent("ping", {
  on: [Ping],
  emits: [Pong],
  handle: (event, ctx) => ctx.emit(Pong({ n: event.data.n + 1 })),
})
const pong = defineAgent("pong", {
  on: [Pong],
  emits: [Ping],
  handle: (event, ctx) => ctx.emit(Ping({ n: event.data.n + 1 })),
})
const Left = defineEvent("fire.left", z.object({ at: z.string() }), { key: (d) => d.at })
const Right = defineEvent("fire.right", z.object({ at: z.string() }), { key: (d) => d.at })
/** Each event leads to three, most of them for the other agent. */
const left = defineAgent("left", {
  on: [Left],
  emits: [Left, Right],
  ...{ hopsMax: 100, cyclesMax: 100 },
  handle({ data: { at } }, ctx) {
    for (const spark of [Left({ at: `${at}a` }), Right({ at: `${at}b` }), Right({ at: `${at}c` })]) ctx.emit(spark)
  },
})
const right = defineAgent("right", {
  on: [Right],
  emits: [Left, Right],
  ...{ hopsMax: 100, cyclesMax: 100 },
  handle({ data: { at } }, ctx) {
    for (const spark of [Right({ at: `${at}a` }), Left({ at: `${at}b` }), Left({ at: `${at}c` })]) ctx.emit(spark)
  },
})

async function letters(bus: Bus): Promise<DeadLetter[]> {
  const found: DeadLetter[] = []
  for await (const { letter } of new DeadLetters(bus).list()) found.push(letter)
  return found
}

async function stored(bus: Bus, pattern: string): Promise<number> {
  const filter = bus.names.storedFilter(pattern)
  const info = await bus.link.manager.streams.info(bus.names.events, { subjects_filter: filter })
  return Object.values(info.state.subjects ?? {}).reduce((sum, count) => sum + count, 0)
}

/** Waits until nothing waits for these agents, neither their events nor what was sent to them alone. */
async function quiet(bus: Bus, ...agents: AgentDefinition[]): Promise<void> {
  const durables = agents.flatMap(({ name, partitions }) =>
    Array.from({ length: partitions }, (_, at) => [
      durableName(name, partitions, at),
      inboxDurableName(name, partitions, at),
    ]).flat(),
  )
  const infoOf = (durable: string) => bus.link.manager.consumers.info(bus.names.events, durable).catch(() => undefined)
  let idle = 0
  await until(`${agents.map(({ name }) => name)} are done`, async () => {
    const consumers = await Promise.all(durables.map(infoOf)) // an inbox that nobody needed is not there
    const busy = consumers.some((consumer) => (consumer?.num_pending ?? 0) + (consumer?.num_ack_pending ?? 0) > 0)
    idle = busy ? 0 : idle + 1
    return idle >= 3
  })
}

test("two agents that answer each other are stopped at the limit with the path shown; an unrelated one is not held up", async () => {
  const seen: number[] = []
  const worker = defineAgent("worker", { on: [Work], handle: (event) => void seen.push(event.data.n) })
  mesh = await startMesh({ agents: [ping, pong, worker] })
  const { bus } = mesh
  const root = await bus.publish(Ping({ n: 0 }), { producer: "test" })
  for await (const _ of bus.publishMany(
    Array.from({ length: 1_000 }, (_, n) => Work({ n })),
    { producer: "test" },
  ));
  await until("the game is stopped", async () => (await letters(bus)).length > 0)
  await until("the work is done", () => seen.length === 1_000)
  expect(new Set(seen).size).toBe(1_000)
  expect(await stored(bus, "game.>")).toBe(18)
  const path = Array.from({ length: 17 }, (_, hop) => (hop % 2 === 0 ? "ping" : "pong"))
  expect(await letters(bus)).toMatchObject([
    {
      agent: "pong",
      reason: "loop",
      error: { code: "HOPS_EXCEEDED", message: expect.stringContaining("ping -> pong -> ping -> pong)") },
      guard: { guard: "hops", root: root.id, limit: 16, used: 17, path },
      event: { causalpath: path.join("/"), hops: 17 },
    },
  ])
  const [warned, alsoWarned, tripped] = await take(bus, "murmur.guard.*", 3)
  expect([warned, alsoWarned]).toMatchObject([
    { type: "murmur.guard.warned", producer: "murmur", key: "ping", hops: 0, data: { root: root.id, used: 3 } },
    { type: "murmur.guard.warned", key: "pong" },
  ])
  expect(tripped).toMatchObject({ type: "murmur.guard.tripped", data: { root: root.id, guard: "hops", agent: "pong" } })
  expect(mesh.node.hosts.map(({ quarantined }) => quarantined)).toEqual([false, false, false])
})

test("a fire over two nodes ends within its budget, is told about once, and goes on with more", async () => {
  mesh = await startMesh({ agents: [left] })
  const { bus } = mesh
  await mesh.addNode({ agents: [right] })
  const { id: root } = await bus.publish(Left({ at: "" }), { producer: "test" })
  await until("the fire is stopped", async () => (await letters(bus)).length > 0)
  await quiet(bus, left, right)
  const burnt = await stored(bus, "fire.*")
  expect(burnt).toBeGreaterThan(900)
  expect(burnt).toBeLessThanOrEqual(1 + 1_000 + 2 * 16)
  expect(new Set((await letters(bus)).map(({ reason, error }) => `${reason} ${error.code}`))).toEqual(
    new Set(["budget BUDGET_EVENTS"]),
  )
  expect(await stored(bus, "murmur.guard.tripped")).toBe(1)

  const before = await trippedTrees(bus)
  expect(before).toMatchObject([
    { root, guards: [{ guard: "events", limit: 1_000 }], agents: expect.arrayContaining(["left", "right"]) },
  ])
  const resumed = await resumeTree(bus, root, { events: 300, steps: 600 })
  expect(resumed).toMatchObject({ root, granted: { events: 300, steps: 600 }, failed: [], waiting: [] })
  expect(resumed.retried).toHaveLength(before[0]?.letters ?? 0)
  await until("the fire burns on", async () => (await stored(bus, "fire.*")) > burnt)
  await until("the fire is stopped again", async () => (await letters(bus)).length > 0)
  await quiet(bus, left, right)
  const burntMore = (await stored(bus, "fire.*")) - burnt
  expect(burntMore).toBeGreaterThan(290)
  expect(burnt + burntMore).toBeLessThanOrEqual(1 + 1_300 + 2 * 16)
  expect(await stored(bus, "murmur.guard.tripped")).toBe(2)
}, 60_000)

/** Emits as many events as it is told to. */
const Fan = defineEvent("fan.asked", Count, { key: () => "one" })
const Done = defineEvent("fan.done", Count)
const fan = defineAgent("fan", {
  on: [Fan],
  emits: [Done],
  handle(event, ctx) {
    for (let n = 0; n < event.data.n; n++) ctx.emit(Done({ n }))
  },
})

/** An event as it lies in the stream, to publish others because of it. */
async function eventAt(bus: Bus, pattern: string): Promise<MurmurEvent> {
  const [event] = await take(bus, pattern, 1)
  if (event === undefined) throw new Error(`nothing of ${pattern}`)
  return event
}

test("what a tree has used is known to a node that starts later, and so are the limits of the mesh", async () => {
  mesh = await startMesh({})
  const { bus } = mesh
  await setLimits(bus, { events: 40 })
  const first = await mesh.addNode({ agents: [fan] })
  const { id: root, seq } = await bus.publish(Fan({ n: 30 }), { producer: "test" })
  await until("30 are out", async () => (await stored(bus, "fan.done")) === 30)
  await first.stop()
  await mesh.addNode({ agents: [fan] })
  const cause = { ...(await eventAt(bus, "fan.asked")), id: root, correlationid: root, seq }
  await bus.publish(Fan({ n: 30 }), { producer: "test", cause })
  await until("it is stopped", async () => (await letters(bus)).some(({ guard }) => guard?.root === root))
  expect((await letters(bus)).at(-1)).toMatchObject({
    reason: "budget",
    error: { code: "BUDGET_EVENTS" },
    guard: { root, limit: 40, used: 60 },
  })
})

test("a session whose outputs are too many commits nothing and publishes nothing, and both once it may", async () => {
  const teller = defineAgent("teller", {
    on: [Fan],
    emits: [Done],
    state: { initial: 0, evolve: { Told: (state: number, by: number) => state + by } },
    handle(event, ctx) {
      ctx.record("Told", event.data.n)
      for (let n = 0; n < event.data.n; n++) ctx.emit(Done({ n }))
    },
  })
  mesh = await startMesh({ agents: [teller] })
  const { bus } = mesh
  const commits = async (): Promise<number> => {
    let count = 0
    const read = {
      stream: bus.names.sessionsOf("any"),
      filter: bus.names.sessionSubject("teller", "one"),
      from: { seq: 1 },
    }
    for await (const { data, subject, seq } of readHistory(bus.link, read)) {
      if (parseSessionRecord(data, subject, seq).kind === "commit") count += 1
    }
    return count
  }
  const { id: root } = await bus.publish(Fan({ n: 1_200 }), { producer: "test" })
  await bus.publish(Fan({ n: 2 }), { producer: "test" })
  await until("the next event of the key is done", async () => (await stored(bus, "fan.done")) === 2)
  expect(await letters(bus)).toMatchObject([{ reason: "budget", guard: { used: 1_200, limit: 1_000 } }])
  expect(await commits()).toBe(1)
  await resumeTree(bus, root)
  await until("all are out", async () => (await stored(bus, "fan.done")) === 1_202)
  expect(await commits()).toBe(2)
  expect(await letters(bus)).toEqual([])
})

test("a step that was committed is in effect, also when it comes again after its tree was stopped", async () => {
  const seen: number[] = []
  const teller = defineAgent("teller", {
    on: [Fan],
    emits: [Done],
    state: { initial: 0, evolve: { Told: (state: number, by: number) => state + by } },
    handle(event, ctx) {
      seen.push(event.data.n)
      ctx.record("Told", event.data.n)
      for (let n = 0; n < event.data.n; n++) ctx.emit(Done({ n }))
    },
  })
  mesh = await startMesh({ agents: [teller] })
  const { bus } = mesh
  const { id: root, seq } = await bus.publish(Fan({ n: 900 }), { producer: "test" })
  await until("900 are out", async () => (await stored(bus, "fan.done")) === 900)
  const cause = { ...(await eventAt(bus, "fan.asked")), id: root, correlationid: root, seq }
  await bus.publish(Fan({ n: 200 }), { producer: "test", cause })
  await until("its tree is stopped", async () => (await letters(bus)).length === 1)
  await mesh.node.stop()
  const durable = durableName("teller", 1, 0)
  await bus.link.connection.request(`$JS.API.CONSUMER.RESET.${bus.names.events}.${durable}`, JSON.stringify({ seq: 1 }))
  await mesh.addNode({ agents: [teller] })
  await bus.publish(Fan({ n: 1 }), { producer: "test" })
  await until("it goes on", () => seen.includes(1))
  expect(seen, "what is committed or given up does not run again").toEqual([900, 200, 1])
  expect((await letters(bus)).map(({ event }) => event.id)).not.toContain(root)
  expect(await stored(bus, "fan.done")).toBe(901)
})

test("a pipeline that feeds itself is stopped, and what was stopped is not in it when it is built again", async () => {
  const Echo = defineEvent("echo.heard", Count, { key: () => "cave" })
  const seen: number[] = []
  const cave = defineAgent("cave", {
    on: [Echo],
    emits: [Echo],
    horizonMs: 60_000,
    react: (echoes) =>
      echoes.pipe(
        map(({ data }) => {
          seen.push(data.n)
          return Echo({ n: data.n + 1 })
        }),
      ),
  })
  mesh = await startMesh({ agents: [cave] })
  const { bus } = mesh
  await bus.publish(Echo({ n: 0 }), { producer: "test" })
  await until("it is stopped", async () => (await letters(bus)).length > 0)
  await quiet(bus, cave)
  expect(await letters(bus)).toMatchObject([
    { agent: "cave", reason: "loop", error: { code: "CYCLE" }, event: { hops: 9 } },
  ])
  expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
  await mesh.node.stop()
  await mesh.addNode({ agents: [cave] })
  await bus.publish(Echo({ n: 100 }), { producer: "test" })
  await until("it works again", () => seen.includes(108))
  expect(seen.slice(9).filter((n) => n === 9)).toEqual([])
})

test("an agent that reacts to a guard's events is heard, and a loop behind it is stopped without being told about", async () => {
  const Alarm = defineEvent("alarm.raised", z.object({ root: z.string() }))
  const alarm = defineAgent("alarm", {
    on: ["murmur.guard.tripped"],
    emits: [Alarm],
    handle: (event, ctx) => ctx.emit(Alarm({ root: (event.data as { root: string }).root })),
  })
  const echo = defineAgent("echo", {
    on: [Alarm],
    emits: [Alarm],
    handle: (event, ctx) => ctx.emit(Alarm(event.data)),
  })
  mesh = await startMesh({ agents: [ping, pong, alarm, echo] })
  const { bus } = mesh
  const { id: root } = await bus.publish(Ping({ n: 0 }), { producer: "test" })
  await until("both loops are stopped", async () => (await letters(bus)).length === 2)
  const stoppedBy = (await letters(bus)).map(({ agent, error }) => `${agent} ${error.code}`)
  expect(stoppedBy).toEqual(["pong HOPS_EXCEEDED", "echo CYCLE"])
  expect(await eventAt(bus, "alarm.raised")).toMatchObject({ data: { root }, hops: 1, path: ["alarm"] })
  await delay(100) // what should not come has had the time to
  expect(await stored(bus, "murmur.guard.tripped")).toBe(1)
})
