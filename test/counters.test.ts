import { afterAll, beforeAll, expect, test } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import { Counters } from "../src/bus/counters.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

let server: TestServer
let bus: Bus
const connect = () => openBus({ url: server.url, name: "test", mesh: "test" })
const countersOf = ({ link, publisher, names }: Bus) => new Counters(link, publisher, names)
beforeAll(async () => {
  server = await startTestServer()
  bus = await connect()
  await bus.ensureStreams()
})
afterAll(async () => {
  await bus?.close()
  await server?.stop()
})

test("a counter that nobody has added to is 0, and adding tells the total", async () => {
  const counters = countersOf(bus)
  const counter = { root: "a root: with *.> and ümlauts", kind: "events" }
  expect(await counters.total(counter)).toBe(0)
  expect(await counters.add(counter, 3, "a1")).toBe(3)
  expect(await counters.add(counter, 4, "a2")).toBe(7)
  expect(await counters.total(counter)).toBe(7)
  expect(await counters.total({ ...counter, kind: "steps" })).toBe(0)
})

test("the same id adds once, and is told the total as it is now", async () => {
  const counters = countersOf(bus)
  const counter = { root: "once", kind: "steps" }
  await counters.add(counter, 3, "b1")
  await counters.add(counter, 2, "b2")
  expect(await counters.add(counter, 3, "b1")).toBe(5)
})

test("what was added can be taken back, below nothing as well, and once", async () => {
  const counters = countersOf(bus)
  const counter = { account: ["agent-day", "an agent", "2026-11-21"], kind: "tokens" }
  await counters.add(counter, 100, "n1")
  expect(await counters.add(counter, -60, "n2")).toBe(40)
  expect(await counters.add(counter, -60, "n2")).toBe(40)
  expect(await counters.add(counter, -50, "n3")).toBe(-10)
})

test("many totals are read at once, in order, also of counters that are not there", async () => {
  const counters = countersOf(bus)
  const named = Array.from({ length: 300 }, (_, n) => ({ account: ["many", `a${n}`], kind: "tokens" }))
  await Promise.all(named.slice(0, 299).map((counter, n) => counters.add(counter, n + 1, `m${n}`)))
  expect(await counters.totals(named)).toEqual([...Array.from({ length: 299 }, (_, n) => n + 1), 0])
  expect(await counters.totals([{ account: ["nobody"], kind: "tokens" }])).toEqual([0])
  expect(await counters.totals([])).toEqual([])
})

test("of many writers on two connections nobody misses another: every total comes once", async () => {
  const other = await connect()
  const counter = { root: "busy", kind: "events" }
  const adding = [bus, other].flatMap((writer, at) => {
    const counters = countersOf(writer)
    return Array.from({ length: 200 }, (_, n) => counters.add(counter, 1, `c${at}-${n}`))
  })
  const totals = (await Promise.all(adding)).sort((a, b) => a - b)
  expect(totals).toEqual(Array.from({ length: 400 }, (_, n) => n + 1))
  await other.close()
})

test("totals outlive the server, and an addition waits for it", async () => {
  const counters = countersOf(bus)
  const counter = { root: "kept", kind: "events" }
  await counters.add(counter, 5, "d1")
  await server.kill9()
  const waiting = counters.add(counter, 1, "d2")
  await server.restart()
  expect(await waiting).toBe(6)
})

test("after a crash the server knows again what was added last: a repeat adds nothing, though others came after it", async () => {
  const counters = countersOf(bus)
  const counter = { root: "repeated", kind: "tokens" }
  await counters.add(counter, 100, "r0")
  await counters.add(counter, -70, "r1")
  for (let n = 0; n < 12; n++) await counters.add(counter, 1, `other${n}`)
  await server.kill9()
  const repeated = counters.add(counter, -70, "r1")
  await server.restart()
  expect(await repeated).toBe(42)
})
