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
