import { expect, test, vi } from "vitest"
import type { EventDraft, MurmurEvent } from "../../bus/event.js"
import { noMetrics, noTelemetry, silentLog } from "../../telemetry/ports.js"
import { TRIPPED, WARNED } from "./announcer.js"
import { BudgetExceeded, GuardTripped } from "./guard-tripped.js"
import { Guards } from "./guards.js"
import { BudgetLimits } from "./limits.js"
import { MemoryCounters, MemoryRecords, memoryGuards } from "./memory.js"

const agent = { name: "pong", hopsMax: 16, cyclesWarn: 3, cyclesMax: 8 }

const eventOf = (over: Partial<MurmurEvent> = {}): MurmurEvent => ({
  ...{ id: "e", source: "/t", type: "a.b", time: "2026-01-01T00:00:00Z", key: undefined, data: null, producer: "p" },
  ...{ seq: 1, correlationid: "root", causationid: "c", hops: 1, path: ["ping"], trust: "internal", trace: undefined },
  extensions: {},
  ...over,
})

/** A node's guards, and what they told. */
function bench(shared: { counters?: MemoryCounters; records?: MemoryRecords } = {}) {
  const told: EventDraft[] = []
  const log = { ...silentLog, warn: vi.fn(), error: vi.fn() }
  const metrics = { ...noMetrics, count: vi.fn() }
  const limits = new BudgetLimits()
  const counters = shared.counters ?? new MemoryCounters()
  const records = shared.records ?? new MemoryRecords()
  const publish = async (draft: EventDraft): Promise<void> => void told.push(draft)
  const guards = new Guards({ counters, records, limits, publish, telemetry: { ...noTelemetry, log, metrics } })
  return { guards, told, log, metrics, limits, counters, records, of: guards.of(agent) }
}

const trippedBy = async (asked: Promise<void> | undefined): Promise<GuardTripped> => {
  const error = await Promise.resolve(asked).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof GuardTripped) return error
  throw new Error(`was not stopped: ${String(error)}`)
}

test("a root and a small tree wait for nothing, and nobody is asked", async () => {
  const { of, counters } = bench()
  const adding = vi.spyOn(counters, "add")
  for (let n = 0; n < 1_000; n++) expect(of.admit(eventOf({ hops: 0, path: [] }))).toBeUndefined()
  for (let n = 0; n < 16; n++) expect(of.admit(eventOf({ id: `e${n}` }))).toBeUndefined()
  expect(of.reserveOutputs(eventOf({ hops: 0 }), 0)).toBeUndefined()
  expect(of.reserveOutputs(eventOf({ hops: 0 }), 16)).toBeUndefined()
  expect(adding).not.toHaveBeenCalled()
})

test("the first step that is not free charges all that were", async () => {
  const { of, counters } = bench()
  for (let n = 0; n < 17; n++) await of.admit(eventOf({ id: `e${n}` }))
  expect(await counters.total({ root: "root", kind: "steps" })).toBe(17)
  await of.admit(eventOf({ id: "more" }))
  expect(await counters.total({ root: "root", kind: "steps" })).toBe(18)
})

test("a charge that could not be made is made by whoever asks next", async () => {
  const { of, counters } = bench()
  for (let n = 0; n < 16; n++) await of.admit(eventOf({ id: `e${n}` }))
  vi.spyOn(counters, "add").mockRejectedValueOnce(new Error("away"))
  await expect(of.admit(eventOf({ id: "lost" }))).rejects.toThrow("away")
  await of.admit(eventOf({ id: "next" }))
  expect(await counters.total({ root: "root", kind: "steps" })).toBe(17)
})

test("a step that is repeated is charged once; one that is tried again from the dead letters anew", async () => {
  const { of, counters, limits } = bench()
  limits.set("steps", 7) // nothing is free
  for (let n = 0; n < 5; n++) await of.admit(eventOf())
  expect(await counters.total({ root: "root", kind: "steps" })).toBe(1)
  await of.admit(eventOf({ seq: 2 }))
  expect(await counters.total({ root: "root", kind: "steps" })).toBe(2)
})

test("too deep: stopped with the path drawn, as a loop", async () => {
  const path = Array.from({ length: 17 }, (_, at) => (at % 2 === 0 ? "ping" : "other"))
  const tripped = await trippedBy(bench().of.admit(eventOf({ hops: 17, path })))
  expect(tripped).toMatchObject({ code: "HOPS_EXCEEDED", reason: "loop" })
  expect(tripped.message).toContain("(... -> ping -> other -> ping")
  expect(tripped.message).toContain("other -> ping -> pong).")
  expect(tripped.details).toEqual({ guard: "hops", root: "root", limit: 16, used: 17, agent: "pong", path })
})

test("in circles: warned about once at the third time, stopped after the eighth, other agents of the path are not", async () => {
  const { guards, of, told, log, metrics } = bench()
  const path = (times: number): string[] => Array.from({ length: times }, () => "pong")
  for (let times = 0; times <= 8; times++) await of.admit(eventOf({ id: `e${times}`, path: path(times) }))
  expect(log.warn).toHaveBeenCalledTimes(1)
  expect(metrics.count).toHaveBeenCalledExactlyOnceWith("murmur.guard.warnings", 1, { agent: "pong", guard: "cycles" })
  await vi.waitFor(() => expect(told).toMatchObject([{ type: WARNED, data: { agent: "pong", used: 3, root: "root" } }]))
  expect(await trippedBy(of.admit(eventOf({ path: path(9) })))).toMatchObject({ code: "CYCLE", reason: "loop" })
  await guards.of({ ...agent, name: "bystander" }).admit(eventOf({ path: path(9) }))
})

test("a budget that is used up stops its tree and no other, and stays used up", async () => {
  const { of, limits } = bench()
  limits.set("events", 100)
  await of.reserveOutputs(eventOf(), 100)
  const tripped = await trippedBy(of.reserveOutputs(eventOf({ id: "e2" }), 1))
  expect(tripped).toMatchObject({ code: "BUDGET_EVENTS", reason: "budget" })
  expect(tripped.message).toMatch(/may use 100 events, and this would be 101 \(ping -> pong\)/)
  await trippedBy(of.reserveOutputs(eventOf({ id: "e3" }), 1))
  expect(of.reserveOutputs(eventOf({ correlationid: "another" }), 1)).toBeUndefined()
})

test("what is granted holds for its tree: hops, cycles and totals", async () => {
  const { of, limits, records } = bench()
  limits.set("steps", 0)
  const far = eventOf({ hops: 20, path: Array.from({ length: 12 }, () => "pong") })
  await trippedBy(of.admit(far))
  records.grants.set("root", { hops: 4, cycles: 4, budgets: { steps: 5 } })
  await of.admit(far)
  await trippedBy(of.admit({ ...far, hops: 21 }))
  await trippedBy(of.admit({ ...far, correlationid: "another" }))
})

test("a trip is told once, by one node of the mesh, until the tree is granted more and trips again", async () => {
  const one = bench()
  const other = bench(one)
  for (const { of } of [one, one, other]) await trippedBy(of.admit(eventOf({ hops: 17 })))
  const told = [...one.told, ...other.told]
  expect(told).toMatchObject([
    {
      type: TRIPPED,
      key: "pong",
      data: { root: "root", guard: "hops", limit: 16, used: 17, agent: "pong", path: ["ping"] },
    },
  ])
  expect(one.metrics.count).toHaveBeenCalledTimes(2)
  one.records.grants.set("root", { hops: 4, cycles: 0, budgets: {} })
  await trippedBy(one.of.admit(eventOf({ hops: 21 })))
  expect(one.told).toHaveLength(2)
  expect(new Set(one.told.map(({ id }) => id)).size).toBe(2)
})

test("what descends from a guard's own event is stopped as everything else, and nothing more is told about it", async () => {
  const { of, told } = bench()
  await trippedBy(of.admit(eventOf({ hops: 17 })))
  const root = told[0]?.id ?? ""
  await trippedBy(of.admit(eventOf({ hops: 17, correlationid: root })))
  await of.admit(eventOf({ correlationid: root, path: ["pong", "pong", "pong", "pong"] }))
  expect(told).toHaveLength(1)
})

test("what cannot be told is logged, and the step is stopped all the same", async () => {
  const warn = vi.fn()
  const publish = (): Promise<never> => Promise.reject(new Error("denied"))
  const guards = memoryGuards({ publish, telemetry: { ...noTelemetry, log: { ...silentLog, warn } } })
  await trippedBy(guards.of(agent).admit(eventOf({ hops: 17 })))
  expect(warn).toHaveBeenCalledTimes(1)
})

test("what a day's budget stops is told once for all trees, what a tree's budget stops once a tree", async () => {
  const { of, limits, told } = bench()
  limits.set("day-tokens", 100)
  limits.set("tokens", 1_000)
  const asks = (root: string, tokens: number) =>
    of.meter(eventOf({ correlationid: root })).reserve({ model: "scripted/any", tokens, costMicroUsd: 0 })
  for (const root of ["one", "two", "three"]) await expect(asks(root, 101)).rejects.toThrow(BudgetExceeded)
  expect(told).toMatchObject([{ type: TRIPPED, data: { guard: "day-tokens", limit: 100, used: 101 } }])
  limits.set("day-tokens", 10_000)
  for (const root of ["one", "one", "two"]) await expect(asks(root, 1_001)).rejects.toThrow(BudgetExceeded)
  expect(told.slice(1)).toMatchObject([
    { data: { guard: "tokens", root: "one" } },
    { data: { guard: "tokens", root: "two" } },
  ])
})

test("a reservation of which one part cannot be counted is taken back, and fails as that did", async () => {
  const { of, limits, counters } = bench()
  const meter = of.meter(eventOf())
  vi.spyOn(counters, "add").mockRejectedValueOnce(new Error("away"))
  await expect(meter.reserve({ model: "scripted/any", tokens: 10, costMicroUsd: 20 })).rejects.toThrow("away")
  expect(meter.exceeded, "nothing was exceeded: it may be tried again").toBeUndefined()
  limits.set("microusd", 20)
  ;(await meter.reserve({ model: "scripted/any", tokens: 10, costMicroUsd: 20 })).settle("nothing")
  await vi.waitFor(async () => expect(await counters.total({ root: "root", kind: "microusd" })).toBe(0))
})

test("a call that comes to more than was reserved for it is charged with all of it", async () => {
  const { guards, of, counters } = bench()
  const reservation = await of.meter(eventOf()).reserve({ model: "scripted/any", tokens: 10, costMicroUsd: 20 })
  reservation.settle({ tokens: 15, costMicroUsd: 30 })
  await guards.flush()
  expect(await counters.total({ root: "root", kind: "tokens" })).toBe(15)
  expect(await counters.total({ root: "root", kind: "microusd" })).toBe(30)
})
