import { debounceTime, map, merge, type Observable, scan } from "rxjs"
import { afterEach, describe, expect, test } from "vitest"
import { z } from "zod"
import { DeadLetter } from "../src/agents/dead-letters.js"
import { type AgentDefinition, defineAgent } from "../src/agents/define-agent.js"
import { sliding, tumbling } from "../src/agents/windows/operators.js"
import { defineEvent } from "../src/bus/define-event.js"
import type { EventDraft, MurmurEvent } from "../src/bus/event.js"
import { readHistory } from "../src/bus/reader.js"
import { addLiveRoute } from "../src/node/route-changes.js"
import { startMesh, type TestMesh, take, until } from "./support/mesh.js"

const Tick = defineEvent("market.tick", z.object({ symbol: z.string(), n: z.number() }), { key: (d) => d.symbol })
const Sum = defineEvent(
  "market.sum",
  z.object({ start: z.number(), ns: z.array(z.number()), text: z.string().optional() }),
)
type TickEvent = MurmurEvent<{ symbol: string; n: number }>

let mesh: TestMesh | undefined
afterEach(async () => {
  await mesh?.stop()
  mesh = undefined
})

const T0 = Date.UTC(2026, 0, 1)
const tick = (second: number, n: number, symbol = "A") => Tick({ symbol, n }, { time: new Date(T0 + second * 1_000) })
const publish = async (drafts: Iterable<EventDraft>) => {
  for await (const _ of (mesh as TestMesh).bus.publishMany(drafts, { producer: "feed" }));
}
type Ticks = Observable<TickEvent>
const sums = (react: (ticks: Ticks) => Observable<EventDraft>, more: object = {}): AgentDefinition =>
  defineAgent("sums", { on: [Tick], emits: [Sum], react: react as never, ...more })
const summed =
  (windows = tumbling<TickEvent>(10_000), check: (ns: number[]) => void = () => {}) =>
  (ticks: Ticks) =>
    ticks.pipe(
      windows,
      map(({ start, events }) => {
        const ns = events.map(({ data }) => data.n)
        check(ns)
        return Sum({ start: (start - T0) / 1_000, ns }, { key: events[0]?.key ?? "" })
      }),
    )
const windowsOf = (events: readonly MurmurEvent[], key = "A") =>
  events.filter((event) => event.key === key).map(({ data }) => data as { start: number; ns: number[] })

async function letters(): Promise<DeadLetter[]> {
  const { names, link } = (mesh as TestMesh).bus
  const all: DeadLetter[] = []
  for await (const message of readHistory(link, { stream: names.dead, filter: "test.dead.>", from: { seq: 1 } })) {
    all.push(DeadLetter.parse(JSON.parse(Buffer.from(message.data).toString())))
  }
  return all
}

describe("a pipeline that breaks", () => {
  test("over several events: each goes to the dead letters, all others stay in their windows", async () => {
    const picky = sums((ticks) =>
      ticks.pipe(
        map((event) => {
          if (event.data.n % 5 === 3) throw new Error(`unlucky ${event.data.n}`)
          return event
        }),
        (passed) => summed()(passed),
      ),
    )
    mesh = await startMesh({ agents: [picky] })
    await publish(Array.from({ length: 21 }, (_, n) => tick(n, n, n % 2 === 0 ? "A" : "B")))
    await publish([tick(40, 100), tick(40, 100, "B")])
    const seen = await take(mesh.bus, "market.sum", 5)
    expect(windowsOf(seen)).toEqual([
      { start: 0, ns: [0, 2, 4, 6] },
      { start: 10, ns: [10, 12, 14, 16] },
      { start: 20, ns: [20] },
    ])
    expect(windowsOf(seen, "B")).toEqual([
      { start: 0, ns: [1, 5, 7, 9] },
      { start: 10, ns: [11, 15, 17, 19] },
    ])
    expect((await letters()).map(({ event }) => (event as { data?: { n: number } }).data?.n)).toEqual([3, 8, 13, 18])
  })

  test("over one of several windows that close together: the others are published, with all their events", async () => {
    const picky = sums(
      summed(sliding<TickEvent>(10_000, 5_000), (ns) => {
        if (ns.length === 2) throw new Error("two is too many")
      }),
    )
    mesh = await startMesh({ agents: [picky] })
    await publish([tick(1, 1), tick(6, 2), tick(12, 3), tick(60, 9)])
    await until("one is laid aside", async () => (await letters()).length > 0)
    await publish([tick(100, 10)])
    const seen = await take(mesh.bus, "market.sum", 4)
    // -5: [1], 0: [1, 2] breaks, 5: [2, 3] breaks, 10: [3], then 55 and 60: [9]
    expect(windowsOf(seen)).toEqual([
      { start: -5, ns: [1] },
      { start: 10, ns: [3] },
      { start: 55, ns: [9] },
      { start: 60, ns: [9] },
    ])
    expect(mesh.node.hosts[0]?.stats.deadLetters).toBe(2)
  })

  test("when it is made: each event goes to the dead letters, and other keys do not notice", async () => {
    const agent = defineAgent("sums", {
      on: [Tick],
      emits: [Sum],
      react(ticks: Ticks, { key }: { key?: string }) {
        if (key === "B") throw new Error("no B")
        if (key === "C") return "not an observable" as never
        return summed()(ticks)
      },
    } as never)
    mesh = await startMesh({ agents: [agent] })
    await publish([tick(1, 1), tick(1, 2, "B"), tick(2, 3, "C"), tick(2, 4, "B"), tick(11, 5)])
    expect(windowsOf(await take(mesh.bus, "market.sum", 1))).toEqual([{ start: 0, ns: [1] }])
    await until("they are laid aside", async () => (await letters()).length === 3)
    expect((await letters()).map(({ event }) => event.subject)).toEqual(["B", "C", "B"])
  })

  test("on its own time: no event is blamed, and what its windows held is still in them", async () => {
    let breaks = 0
    const agent = sums((ticks) =>
      merge(
        summed()(ticks),
        ticks.pipe(
          debounceTime(50),
          map(() => {
            breaks += 1
            if (breaks === 1) throw new Error("the timer broke it")
            return Sum({ start: -1, ns: [] }, { key: "later" })
          }),
        ),
      ),
    )
    mesh = await startMesh({ agents: [agent] })
    await publish([tick(1, 1), tick(2, 2)])
    await until("it broke", () => breaks === 1)
    await publish([tick(3, 3), tick(11, 4)])
    await until("it is summed", async () => windowsOf(await take((mesh as TestMesh).bus, "market.sum", 1)).length === 1)
    expect(windowsOf(await take(mesh.bus, "market.sum", 1))).toEqual([{ start: 0, ns: [1, 2, 3] }])
    expect(await letters()).toEqual([])
    expect(mesh.node.hosts[0]?.stats).toMatchObject({ failures: 1, deadLetters: 0 })
  })
})

describe("outputs that are large", () => {
  const text = (bytes: number) => "x".repeat(bytes)

  test("of many windows that close at once are committed in several records", async () => {
    const agent = sums(
      (ticks) =>
        ticks.pipe(
          tumbling<TickEvent>(1_000),
          map(({ start }) => Sum({ start: (start - T0) / 1_000, ns: [], text: text(5_000) }, { key: "A" })),
        ),
      { window: { latenessMs: 10_000_000 } },
    )
    mesh = await startMesh({ agents: [agent] })
    await publish(Array.from({ length: 600 }, (_, n) => tick(n, n)))
    await publish([tick(100_000, 0)])
    const seen = await take(mesh.bus, "market.sum", 600)
    expect(windowsOf(seen).map(({ start }) => start)).toEqual(Array.from({ length: 600 }, (_, n) => n))
    expect(await letters()).toEqual([])
  })

  test("larger than any server takes: a letter says so, and the next windows come", async () => {
    const agent = sums((ticks) =>
      ticks.pipe(
        tumbling<TickEvent>(10_000),
        map(({ start, events }) =>
          Sum({ start: (start - T0) / 1_000, ns: [], text: text(events.length === 1 ? 1_100_000 : 10) }, { key: "A" }),
        ),
      ),
    )
    mesh = await startMesh({ agents: [agent] })
    await publish([tick(1, 1), tick(11, 2), tick(12, 3), tick(21, 4)])
    expect(windowsOf(await take(mesh.bus, "market.sum", 1))).toMatchObject([{ start: 10 }])
    expect(await letters()).toMatchObject([{ reason: "failed", error: { code: "EVENT_TOO_LARGE" } }])
  })

  test("of an event without a window: a letter says so, and the next events are handled", async () => {
    const agent = sums((ticks) =>
      ticks.pipe(
        scan((count) => count + 1, 0),
        map((count) => Sum({ start: count, ns: [], text: text(count === 1 ? 1_100_000 : 10) }, { key: "A" })),
      ),
    )
    mesh = await startMesh({ agents: [agent] })
    await publish([tick(1, 1), tick(2, 2)])
    expect(windowsOf(await take(mesh.bus, "market.sum", 1))).toMatchObject([{ start: 2 }])
    await until("it is laid aside", async () => (await letters()).length === 1)
    expect(await letters()).toMatchObject([{ reason: "terminal", event: { data: { n: 1 } } }])
  })
})

describe("taking over", () => {
  test("from a node whose connection broke: windows are whole, published once, and late events are not counted again", async () => {
    const agent = sums(summed())
    mesh = await startMesh({ agents: [agent] })
    const first = mesh.node
    await publish([tick(1, 1), tick(12, 2), tick(2, 99), tick(13, 3)])
    await until("all are read", () => first.hosts[0]?.stats.steps === 4)
    expect(first.hosts[0]?.stats.lateDropped).toBe(1)
    const second = await mesh.addNode({ agents: [agent] })
    await first.bus.link.connection.close()
    await publish([tick(14, 4), tick(22, 5)])
    const seen = await take(mesh.bus, "market.sum", 2)
    expect(windowsOf(seen)).toEqual([
      { start: 0, ns: [1] },
      { start: 10, ns: [2, 3, 4] },
    ])
    await until("all are read", () => second.hosts[0]?.stats.steps === 2)
    expect(second.hosts[0]?.stats.lateDropped).toBe(0)
    expect((await mesh.bus.link.manager.streams.info(mesh.bus.names.events)).state.messages).toBe(6 + 2)
  })

  test("rebuilds what came by a route that was added to the running mesh", async () => {
    const agent = defineAgent("sums", {
      on: [Tick],
      emits: [Sum],
      react: ((ticks: Ticks) => summed()(ticks)) as never,
    })
    mesh = await startMesh({ agents: [agent] })
    await addLiveRoute(mesh.bus, { agent: "sums", pattern: "other.tick" } as never, AbortSignal.timeout(10_000))
    const other = (second: number, n: number): EventDraft => ({ ...tick(second, n), type: "other.tick" })
    await publish([tick(1, 1), other(2, 2)])
    await until("both are read", () => (mesh as TestMesh).node.hosts[0]?.stats.steps === 2)
    await mesh.node.stop()
    await mesh.addNode({ agents: [agent] })
    await publish([tick(11, 3)])
    expect(windowsOf(await take(mesh.bus, "market.sum", 1))).toEqual([{ start: 0, ns: [1, 2] }])
  })

  test("over kills of the server and of the connection in the middle, each event is in exactly one window", async () => {
    const agent = sums(summed(tumbling<TickEvent>(1_000)))
    mesh = await startMesh({ agents: [agent] })
    const keys = Array.from({ length: 20 }, (_, k) => `k${k}`)
    const count = 4_000
    const all = Array.from({ length: count }, (_, n) => tick(Math.floor(n / 100), n, keys[n % 20]))
    const published = publish(all)
    const stats = mesh.node.hosts[0]?.stats
    for (const [share, fault] of [
      [0.2, () => mesh?.node.bus.link.connection.reconnect()],
      [0.4, () => mesh?.server.kill9().then(() => mesh?.server.restart())],
      [0.7, () => mesh?.node.bus.link.connection.reconnect()],
    ] as const) {
      await until(`${share} is read`, () => (stats?.steps ?? 0) > count * share)
      await fault()
    }
    await published
    await publish(keys.map((key) => tick(1_000, -1, key)))
    const seen = await take(mesh.bus, "market.sum", 40 * 20, 40_000)
    const ns = seen.flatMap(({ data }) => (data as { ns: number[] }).ns)
    expect(ns.length).toBe(count)
    expect(new Set(ns).size).toBe(count)
    expect(new Set(seen.map(({ id }) => id)).size).toBe(800)
    expect(await letters()).toEqual([])
  }, 60_000)
})

test("with a horizon the recent past warms what is no window, and makes no window of it", async () => {
  const counted = sums(
    (ticks) => {
      const count = ticks.pipe(
        scan((sum) => sum + 1, 0),
        map((n) => Sum({ start: n, ns: [] }, { key: "count" })),
      )
      return merge(summed(tumbling<TickEvent>(1_000))(ticks), count)
    },
    { horizonMs: 60_000 },
  )
  mesh = await startMesh({})
  await publish([tick(1, 1), tick(5, 2)]) // before there was an agent
  await mesh.addNode({ agents: [counted] })
  await publish([tick(10, 3), tick(20, 4)])
  const seen = await take(mesh.bus, "market.sum", 3)
  expect(windowsOf(seen, "count").map(({ start }) => start)).toEqual([3, 4])
  expect(windowsOf(seen)).toEqual([{ start: 10, ns: [3] }])
})

test("a graceful stop under load ends in time, and the next node has lost and doubled nothing", async () => {
  const agent = sums(summed(tumbling<TickEvent>(1_000)))
  mesh = await startMesh({ agents: [agent] })
  const count = 3_000
  const published = publish(Array.from({ length: count }, (_, n) => tick(Math.floor(n / 10), n)))
  await until("it is under way", () => ((mesh as TestMesh).node.hosts[0]?.stats.steps ?? 0) > 500)
  const began = Date.now()
  await mesh.node.stop(5_000)
  expect(Date.now() - began).toBeLessThan(5_000)
  await mesh.addNode({ agents: [agent] })
  await published
  await publish([tick(10_000, -1)])
  const seen = await take(mesh.bus, "market.sum", count / 10)
  expect(windowsOf(seen).flatMap(({ ns }) => ns)).toEqual(Array.from({ length: count }, (_, n) => n))
})
