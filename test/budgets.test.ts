import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { z } from "zod"
import { type Clock, systemClock } from "../src/agents/clock.js"
import type { DeadLetter } from "../src/agents/dead-letters.js"
import { defineAgent } from "../src/agents/define-agent.js"
import { agentDay, agentTotal } from "../src/agents/guards/accounts.js"
import { BudgetExceeded } from "../src/agents/guards/guard-tripped.js"
import type { Guards, StepMeter } from "../src/agents/guards/guards.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import { defineEvent } from "../src/bus/define-event.js"
import type { MurmurEvent } from "../src/bus/event.js"
import type { Estimate } from "../src/gateways/broker/broker.js"
import { scripted } from "../src/gateways/scripted/scripted.js"
import { DeadLetters } from "../src/node/dead-letter-store.js"
import { BucketGuardRecords } from "../src/node/guard-records.js"
import { resumeTree } from "../src/node/guard-trees.js"
import { countersOf, type NodeGuards, openGuards, setLimits } from "../src/node/guards.js"
import { noTelemetry } from "../src/telemetry/ports.js"
import { startMesh, take, until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

let server: TestServer
const buses: Bus[] = []
const connect = async (): Promise<Bus> => {
  const bus = await openBus({ url: server.url, name: "test", mesh: "test" })
  buses.push(bus)
  return bus
}
let bus: Bus
beforeAll(async () => {
  server = await startTestServer()
  bus = await connect()
  await bus.ensureStreams()
})
afterAll(async () => {
  for (const one of buses) await one.close()
  await server?.stop()
})

const agent = { name: "triage", hopsMax: 16, cyclesWarn: 3, cyclesMax: 8 }
let roots = 0
const eventOf = (root: string): MurmurEvent => ({
  ...{ id: `${root}-e`, source: "/t", type: "a.b", time: "2026-01-01T00:00:00Z", key: undefined, data: null },
  ...{ producer: "p", seq: 1, correlationid: root, causationid: "c", hops: 1, path: [], trust: "internal" as const },
  ...{ trace: undefined, extensions: {} },
})
const freshRoot = (): string => `root-${++roots}`
const asks = (tokens: number, costMicroUsd: number | undefined = 0): Estimate => ({
  model: "scripted/any",
  tokens,
  costMicroUsd,
})

/** The guards of a node on a connection of its own, with limits that are only its own. */
async function node(limits: Record<string, number> = {}, clock?: Clock): Promise<NodeGuards> {
  const guards = await openGuards(await connect(), noTelemetry, clock)
  for (const [kind, limit] of Object.entries(limits)) guards.limits.set(kind, limit)
  return guards
}
const meterOf = ({ guards }: { guards: Guards }, root: string, name = agent.name): StepMeter =>
  guards.of({ ...agent, name }).meter(eventOf(root))

const exceeded = async (asked: Promise<unknown>): Promise<BudgetExceeded> => {
  const error = await asked.catch((thrown: unknown) => thrown)
  if (error instanceof BudgetExceeded) return error
  throw new Error(`was not stopped: ${String(error)}`)
}

test("of many calls over three nodes side by side, what is spent never exceeds the limit, and little of it is left", async () => {
  const limit = 10_000
  const root = freshRoot()
  const nodes = await Promise.all([1, 2, 3].map(() => node({ tokens: limit })))
  let sent = 0
  let reserved = 0
  let spent = 0
  let refused = 0
  const work = nodes.flatMap((one) =>
    Array.from({ length: 8 }, async () => {
      for (let n = 0; n < 12; n++) {
        const reservation = await meterOf(one, root)
          .reserve(asks(100))
          .catch(() => undefined)
        if (reservation === undefined) {
          refused += 1
          continue
        }
        sent += 1
        reserved += 100
        expect(spent + reserved).toBeLessThanOrEqual(limit)
        await new Promise((resolve) => setTimeout(resolve, 2))
        const tokens = 40 + (n % 3) * 30
        reserved -= 100
        spent += tokens
        reservation.settle({ tokens, costMicroUsd: 0 })
      }
    }),
  )
  await Promise.all(work)
  await Promise.all(nodes.map(({ guards }) => guards.flush()))
  expect(refused).toBeGreaterThan(0)
  expect(sent).toBeGreaterThan(limit / 100)
  expect(spent).toBeGreaterThan(limit * 0.9)
  expect(spent).toBeLessThanOrEqual(limit)
  expect(await countersOf(bus).total({ root, kind: "tokens" })).toBe(spent)
}, 30_000)

test("a call that does not fit beside others of its node waits until they are settled for less", async () => {
  const one = await node({ tokens: 1_000 })
  const root = freshRoot()
  const first = await meterOf(one, root).reserve(asks(800))
  let later: "waits" | "runs" = "waits"
  const second = meterOf(one, root)
    .reserve(asks(700))
    .then((reservation) => {
      later = "runs"
      return reservation
    })
  const third = meterOf(one, root).reserve(asks(250))
  await vi.waitFor(async () => expect(await countersOf(bus).total({ root, kind: "tokens" })).toBeLessThanOrEqual(1_050))
  expect(later).toBe("waits")
  first.settle({ tokens: 20, costMicroUsd: 0 })
  ;(await second).settle({ tokens: 10, costMicroUsd: 0 })
  ;(await third).settle("nothing")
  await one.guards.flush()
  expect(await countersOf(bus).total({ root, kind: "tokens" })).toBe(30)
})

test("over the budget: parked as such, with what was used, nothing kept of the refused call, and told once", async () => {
  const one = await node({ tokens: 1_000, microusd: 2_000_000 })
  const root = freshRoot()
  ;(await meterOf(one, root).reserve(asks(600, 1_500_000))).settle("unknown")
  const meter = meterOf(one, root)
  const error = await exceeded(meter.reserve(asks(300, 600_000)))
  expect(error).toMatchObject({ code: "BUDGET_USD", reason: "budget", name: "BudgetExceeded" })
  expect(error.trip).toEqual({
    ...{ guard: "microusd", root, limit: 2_000_000, used: 2_100_000, agent: "triage", path: [] },
  })
  expect(error.message).toContain(`what descends from ${root} may use $2.00, and this would be $2.10`)
  expect(meter.exceeded).toBe(error)
  await expect(meter.reserve(asks(1, 1)), "the step has no other call").rejects.toBe(error)
  await one.guards.flush()
  const counters = countersOf(bus)
  expect(await counters.total({ root, kind: "tokens" })).toBe(600)
  expect(await counters.total({ root, kind: "microusd" })).toBe(1_500_000)
  expect(await exceeded(meterOf(one, root).reserve(asks(401, 0)))).toMatchObject({ code: "BUDGET_TOKENS" })
  ;(await meterOf(one, root).reserve(asks(400, 500_000))).settle("nothing")
})

test("what a process had reserved when it died counts as spent, on every node", async () => {
  const dying = await connect()
  const doomed = await openGuards(dying, noTelemetry)
  doomed.limits.set("tokens", 1_000)
  const root = freshRoot()
  const reservation = await meterOf(doomed, root).reserve(asks(900))
  await dying.link.connection.close()
  reservation.settle({ tokens: 10, costMicroUsd: 0 }) // nobody hears it
  await doomed.guards.flush()
  const survivor = await node({ tokens: 1_000 })
  expect((await exceeded(meterOf(survivor, root).reserve(asks(101)))).trip.used).toBe(1_001)
  ;(await meterOf(survivor, root).reserve(asks(100))).settle("nothing")
})

test("a day's budget is the agent's or the mesh's, and begins anew at midnight UTC; a call is settled on its own day", async () => {
  let now = Date.parse("2031-03-31T23:59:59Z")
  const clock = { ...systemClock, now: () => now }
  const limits = { "agent-day-tokens": 1_000, "day-microusd": 5_000, "month-tokens": 1_500 }
  const [one, two] = [await node(limits, clock), await node(limits, clock)]
  const evening = await meterOf(one, freshRoot()).reserve(asks(900, 10))
  const tripped = (await exceeded(meterOf(two, freshRoot()).reserve(asks(200)))).trip
  expect(tripped).toMatchObject({ guard: "agent-day-tokens", used: 1_100, period: "2031-03-31" })
  ;(await meterOf(two, freshRoot(), "other").reserve(asks(500, 4_000))).settle("unknown")
  const overall = await exceeded(meterOf(two, freshRoot(), "other").reserve(asks(10, 1_000)))
  expect(overall).toMatchObject({ code: "BUDGET_USD", trip: { guard: "day-microusd", used: 5_010, limit: 5_000 } })
  expect(overall.message).toContain("the mesh in 2031-03-31 may use $0.005000")
  expect(overall.message).toContain("murmur guard limits --day-usd n")
  now = Date.parse("2031-04-01T00:00:01Z")
  ;(await meterOf(one, freshRoot()).reserve(asks(950, 4_900))).settle({ tokens: 900, costMicroUsd: 100 })
  evening.settle({ tokens: 100, costMicroUsd: 10 })
  await Promise.all([one.guards.flush(), two.guards.flush()])
  const day = (date: string) => countersOf(bus).total(agentDay("triage", date, "tokens"))
  expect([await day("2031-03-31"), await day("2031-04-01")]).toEqual([100, 900])
  expect(await countersOf(bus).total({ account: ["month", "2031-03"], kind: "tokens" })).toBe(600)
  expect(await countersOf(bus).total({ account: ["month", "2031-04"], kind: "tokens" })).toBe(900)
})

test("a limit for one agent alone wins over that for all", async () => {
  const one = await node({ "agent-day-tokens": 100, "agent-day-tokens=rich": 1_000 })
  ;(await meterOf(one, freshRoot(), "rich").reserve(asks(900))).settle("nothing")
  expect((await exceeded(meterOf(one, freshRoot(), "poor").reserve(asks(900)))).trip).toMatchObject({ limit: 100 })
})

test("a tree that is granted more goes on, up to that total", async () => {
  const one = await node({ tokens: 1_000 })
  const root = freshRoot()
  ;(await meterOf(one, root).reserve(asks(1_000))).settle("unknown")
  await exceeded(meterOf(one, root).reserve(asks(10)))
  const records = await BucketGuardRecords.open(bus)
  await records.grant(root, () => ({ hops: 0, cycles: 0, budgets: { tokens: 1_500 } }))
  ;(await meterOf(one, root).reserve(asks(500))).settle("unknown")
  expect((await exceeded(meterOf(one, root).reserve(asks(1)))).trip).toMatchObject({ limit: 1_500, used: 1_501 })
})

test("money is not spent on a model without a price, unless money has no limit", async () => {
  const one = await node()
  const meter = meterOf(one, freshRoot())
  const refused = meter.reserve({ model: "vllm/mine", tokens: 10, costMicroUsd: undefined })
  await expect(refused).rejects.toMatchObject({ code: "BUDGET_PRICE", message: expect.stringContaining("--usd none") })
  expect(meter.exceeded).toBeUndefined()
  one.limits.set("microusd", Number.POSITIVE_INFINITY)
  const reservation = await meter.reserve({ model: "vllm/mine", tokens: 10, costMicroUsd: undefined })
  reservation.settle({ tokens: 10, costMicroUsd: undefined })
})

test("what nobody limits is counted all the same: an agent's days and total", async () => {
  const one = await node()
  for (let n = 0; n < 5; n++) {
    const reservation = await meterOf(one, freshRoot(), "counted").reserve(asks(100, 70))
    reservation.settle({ tokens: 50, costMicroUsd: 33 })
    reservation.settle({ tokens: 50, costMicroUsd: 33 }) // once is enough
  }
  await one.guards.flush()
  const counters = countersOf(bus)
  const day = new Date().toISOString().slice(0, 10)
  const names = [agentTotal("counted", "tokens"), agentDay("counted", day, "microusd"), agentTotal("nobody", "tokens")]
  expect(await counters.totals(names)).toEqual([250, 165, 0])
  expect(await counters.totals([agentTotal("nobody", "tokens")])).toEqual([0])
})

test("a server that is killed while calls are settled counts none of it twice", async () => {
  const one = await node({ tokens: 1_000_000 })
  const root = freshRoot()
  const calls = await Promise.all(Array.from({ length: 12 }, () => meterOf(one, root).reserve(asks(1_000))))
  for (const call of calls) call.settle({ tokens: 1, costMicroUsd: 0 })
  await server.kill9()
  await server.restart()
  await one.guards.flush()
  const total = () => countersOf(bus).total({ root, kind: "tokens" })
  await vi.waitFor(async () => expect(await total()).toBe(12), { timeout: 15_000 }) // the server may not lead the stream yet
}, 30_000)

test("a handler that catches the error of its budget has done nothing: parked whole, paid once when it goes on", async () => {
  const Asked = defineEvent("question.asked", z.object({ n: z.number() }), { key: () => "k" })
  const Answered = defineEvent("question.answered", z.object({ text: z.string() }))
  const gateway = scripted({ replies: [{ reply: { text: "yes", usage: { inputTokens: 30, outputTokens: 10 } } }] })
  const stubborn = defineAgent("stubborn", {
    on: [Asked],
    emits: [Answered],
    state: { initial: 0, evolve: { Heard: (state: number, by: number) => state + by } },
    async handle(_event, ctx) {
      const first = await ctx.llm.text("One?", { model: "scripted/any", maxTokens: 50 })
      const second = await ctx.llm.text("Two?", { model: "scripted/any", maxTokens: 500 }).catch(() => undefined)
      ctx.record("Heard", 1)
      ctx.emit(Answered({ text: `${first.text} ${second?.text ?? "whatever"}` }))
    },
  })
  const mesh = await startMesh({ agents: [stubborn], models: { gateways: [gateway] } })
  try {
    await setLimits(mesh.bus, { tokens: 200 })
    const { id: root } = await mesh.bus.publish(Asked({ n: 1 }), { producer: "test" })
    const letters = async (): Promise<DeadLetter[]> => {
      const found: DeadLetter[] = []
      for await (const { letter } of new DeadLetters(mesh.bus).list()) found.push(letter)
      return found
    }
    await until("it is parked", async () => (await letters()).length === 1)
    expect(await letters()).toMatchObject([{ reason: "budget", error: { code: "BUDGET_TOKENS" }, guard: { root } }])
    expect(gateway.requests).toHaveLength(1)
    expect(mesh.node.hosts[0]?.quarantined).toBe(false)
    await resumeTree(mesh.bus, root, { tokens: 1_000 })
    const [answered] = await take(mesh.bus, "question.answered", 1)
    expect(answered).toMatchObject({ data: { text: "yes yes" }, correlationid: root })
    expect(gateway.requests, "the first answer was in the journal").toHaveLength(2)
    expect(await letters()).toEqual([])
  } finally {
    await mesh.stop()
  }
}, 30_000)
