import { filter, map, merge, type Observable, scan } from "rxjs"
import { afterEach, expect, test } from "vitest"
import { z } from "zod"
import { DeadLetter } from "../src/agents/dead-letters.js"
import { type AgentDefinition, defineAgent } from "../src/agents/define-agent.js"
import { sessionWindow, sliding, tumbling } from "../src/agents/windows/operators.js"
import type { EventWindow } from "../src/agents/windows/window-set.js"
import { defineEvent } from "../src/bus/define-event.js"
import type { MurmurEvent } from "../src/bus/event.js"
import { readHistory } from "../src/bus/reader.js"
import { startMesh, type TestMesh, take, until } from "./support/mesh.js"

const Tick = defineEvent("market.tick", z.object({ symbol: z.string(), price: z.number() }), { key: (d) => d.symbol })
const Sum = defineEvent("market.sum", z.object({ start: z.number(), sum: z.number(), n: z.number() }))
type TickEvent = MurmurEvent<{ symbol: string; price: number }>

let mesh: TestMesh | undefined
afterEach(async () => {
  await mesh?.stop()
  mesh = undefined
})

const T0 = Date.UTC(2026, 0, 1)
const tick = (second: number, price: number, symbol = "A") =>
  Tick({ symbol, price }, { time: new Date(T0 + second * 1_000) })
const total = (window: EventWindow<TickEvent>) => ({
  start: (window.start - T0) / 1_000,
  sum: window.events.reduce((sum, { data }) => sum + data.price, 0),
  n: window.events.length,
})
const sums = (more: object = {}, windows = tumbling<TickEvent>(10_000)): AgentDefinition =>
  defineAgent("sums", {
    on: [Tick],
    emits: [Sum],
    react: (ticks: Observable<TickEvent>) =>
      ticks.pipe(
        windows,
        map((window) => Sum(total(window), { key: window.events[0]?.key ?? "" })),
      ),
    ...more,
  })

const publish = async (of: TestMesh, ticks: ReturnType<typeof tick>[]) => {
  for await (const _ of of.bus.publishMany(ticks, { producer: "feed" }));
}
const data = (events: MurmurEvent[]) => events.map(({ data }) => data)

test("tumbling windows work in event time, per key, and close when their key has moved on", async () => {
  mesh = await startMesh({ agents: [sums()] })
  await publish(mesh, [
    tick(1, 1),
    tick(3, 2),
    tick(2, 10, "B"),
    tick(9, 4),
    tick(11, 8),
    tick(25, 1),
    tick(31, 5, "B"),
  ])
  const seen = await take(mesh.bus, "market.sum", 3)
  const of = (key: string) => data(seen.filter((event) => event.key === key))
  expect(of("A")).toEqual([
    { start: 0, sum: 7, n: 3 },
    { start: 10, sum: 8, n: 1 },
  ])
  expect(of("B")).toEqual([{ start: 0, sum: 10, n: 1 }])
})

test("a quiet key has its windows closed by the clock", async () => {
  mesh = await startMesh({ agents: [sums({ window: { idleTimeoutMs: 200 } })] })
  await publish(mesh, [tick(1, 1), tick(3, 2)])
  expect(data(await take(mesh.bus, "market.sum", 1))).toEqual([{ start: 0, sum: 3, n: 2 }])
})

test("late events are counted and dropped, and with latenessMs they are waited for", async () => {
  mesh = await startMesh({ agents: [sums()] })
  await publish(mesh, [tick(1, 1), tick(12, 2), tick(2, 100), tick(21, 3)])
  expect(data(await take(mesh.bus, "market.sum", 2))).toEqual([
    { start: 0, sum: 1, n: 1 },
    { start: 10, sum: 2, n: 1 },
  ])
  expect(mesh.node.hosts[0]?.stats.lateDropped).toBe(1)
  await mesh.stop()
  mesh = await startMesh({ agents: [sums({ window: { latenessMs: 5_000 } })] })
  await publish(mesh, [tick(1, 1), tick(12, 2), tick(2, 100), tick(16, 3)])
  expect(data(await take(mesh.bus, "market.sum", 1))).toEqual([{ start: 0, sum: 101, n: 2 }])
})

test("sliding windows overlap, session windows end at a gap", async () => {
  mesh = await startMesh({ agents: [sums({}, sliding<TickEvent>(10_000, 5_000))] })
  await publish(mesh, [tick(1, 1), tick(6, 2), tick(30, 9)])
  expect(data(await take(mesh.bus, "market.sum", 3))).toEqual([
    { start: -5, sum: 1, n: 1 },
    { start: 0, sum: 3, n: 2 },
    { start: 5, sum: 2, n: 1 },
  ])
  await mesh.stop()
  mesh = await startMesh({ agents: [sums({ window: { latenessMs: 60_000 } }, sessionWindow<TickEvent>(5_000))] })
  await publish(mesh, [tick(1, 1), tick(8, 2), tick(5, 4), tick(100, 9)])
  expect(data(await take(mesh.bus, "market.sum", 1))).toEqual([{ start: 1, sum: 7, n: 3 }])
})

test("a node that takes over rebuilds the windows that were open, and publishes none twice", async () => {
  const agent = sums()
  mesh = await startMesh({ agents: [agent] })
  await publish(mesh, [tick(1, 1), tick(2, 2), tick(2, 5, "B"), tick(12, 4), tick(13, 8)])
  await take(mesh.bus, "market.sum", 1)
  await until("all are read", () => mesh?.node.hosts[0]?.stats.steps === 5)
  await mesh.node.stop()
  const second = await mesh.addNode({ agents: [agent] })
  await publish(mesh, [tick(14, 16), tick(21, 1), tick(11, 7, "B")])
  const seen = await take(mesh.bus, "market.sum", 3)
  expect(data(seen.filter(({ key }) => key === "A"))).toEqual([
    { start: 0, sum: 3, n: 2 },
    { start: 10, sum: 28, n: 3 },
  ])
  expect(data(seen.filter(({ key }) => key === "B"))).toEqual([{ start: 0, sum: 5, n: 1 }])
  await until("the second node has read all", () => second.hosts[0]?.stats.steps === 3)
  const { state } = await mesh.bus.link.manager.streams.info(mesh.bus.names.events)
  expect(state.messages).toBe(8 + 3)
})

test("a pipeline that breaks over an event loses that event to the dead letters and nothing else", async () => {
  const picky = sums({
    react: (ticks: Observable<TickEvent>) =>
      ticks.pipe(
        map((event) => {
          if (event.data.price === 13) throw new Error("unlucky")
          return event
        }),
        tumbling(10_000),
        map((window) => Sum(total(window), { key: "A" })),
      ),
  })
  mesh = await startMesh({ agents: [picky] })
  await publish(mesh, [tick(1, 1), tick(2, 2), tick(3, 13), tick(4, 4), tick(11, 1)])
  expect(data(await take(mesh.bus, "market.sum", 1))).toEqual([{ start: 0, sum: 7, n: 3 }])
  expect(await letters(mesh)).toMatchObject([{ reason: "failed", event: { data: { price: 13 } } }])
})

test("a window that breaks the pipeline is laid aside, and the windows after it come", async () => {
  const picky = sums({
    react: (ticks: Observable<TickEvent>) =>
      ticks.pipe(
        tumbling(10_000),
        map((window) => {
          if (window.events.length === 2) throw new Error("two is too many")
          return Sum(total(window), { key: "A" })
        }),
      ),
  })
  mesh = await startMesh({ agents: [picky] })
  await publish(mesh, [tick(1, 1), tick(2, 2), tick(11, 3), tick(21, 4)])
  expect(data(await take(mesh.bus, "market.sum", 1))).toEqual([{ start: 10, sum: 3, n: 1 }])
  expect(await letters(mesh)).toMatchObject([{ reason: "failed", event: { data: { price: 3 } } }])
})

test("operators that are not windows react to each event, and their outputs have derived ids too", async () => {
  const running = sums({
    react: (ticks: Observable<TickEvent>) => {
      const sum = ticks.pipe(
        scan((sum, { data }) => sum + data.price, 0),
        map((sum) => Sum({ start: 0, sum, n: 0 }, { key: "A" })),
      )
      const big = ticks.pipe(
        filter(({ data }) => data.price > 5),
        map(({ data }) => Sum({ start: 1, sum: data.price, n: 1 }, { key: "A" })),
      )
      return merge(sum, big)
    },
  })
  mesh = await startMesh({ agents: [running] })
  await publish(mesh, [tick(1, 1), tick(2, 9)])
  const seen = await take(mesh.bus, "market.sum", 3)
  expect(data(seen)).toEqual([
    { start: 0, sum: 1, n: 0 },
    { start: 0, sum: 10, n: 0 },
    { start: 1, sum: 9, n: 1 },
  ])
  expect(new Set(seen.map(({ id }) => id)).size).toBe(3)
})

test("at the bound of open events the agent says so, and goes on when a window closes", async () => {
  mesh = await startMesh({ agents: [sums({ window: { openEventsMax: 5, idleTimeoutMs: 1_500 } })] })
  const node = mesh.node
  await publish(
    mesh,
    [0, 1, 2, 3, 4, 5, 6, 12].map((second) => tick(second, 1)),
  )
  await until("it is blocked", () => node.hosts[0]?.blocked === "window")
  expect(node.readiness().ready).toBe(false)
  const [first] = await take(mesh.bus, "market.sum", 1)
  expect(first?.data).toEqual({ start: 0, sum: 5, n: 5 })
  await until("it goes on", () => node.hosts[0]?.blocked === undefined)
})

async function letters(of: TestMesh): Promise<DeadLetter[]> {
  const { names, link } = of.bus
  const all: DeadLetter[] = []
  for await (const message of readHistory(link, { stream: names.dead, filter: "test.dead.>", from: { seq: 1 } })) {
    all.push(DeadLetter.parse(JSON.parse(Buffer.from(message.data).toString())))
  }
  return all
}
