import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { z } from "zod"
import {
  type AgentDefinition,
  defineAgent,
  type RetryOptions,
  type SupervisionOptions,
} from "../src/agents/define-agent.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import { durableInfo } from "../src/bus/consumers.js"
import { defineEvent } from "../src/bus/define-event.js"
import type { MurmurEvent } from "../src/bus/event.js"
import { readSession } from "../src/node/session-view.js"
import { buildCli } from "./cli/support/cli.js"
import { untilDrained } from "./support/checker.js"
import { startMesh, type TestMesh, take, until } from "./support/mesh.js"
import { startTestServer } from "./support/nats-server.js"
import { startNodeProcess } from "./support/node-process.js"

const Asked = defineEvent("desk.asked", z.object({ n: z.number() }), { key: () => "one" })
const Answered = defineEvent("desk.answered", z.object({ n: z.number(), by: z.string() }))

/** Each test has a mesh of its own, and they wait side by side. */
const running: TestMesh[] = []
afterAll(async () => {
  await Promise.all(running.map((mesh) => mesh.stop()))
})

async function start(hosted: Parameters<typeof startMesh>[0]): Promise<TestMesh> {
  const mesh = await startMesh(hosted)
  running.push(mesh)
  return mesh
}

interface Desk {
  readonly by?: string
  readonly ordering?: "key" | "none"
  readonly concurrency?: number
  readonly inflightMax?: number
  readonly supervision?: SupervisionOptions
  readonly retry?: RetryOptions
  handle?(n: number, attempt: number): Promise<void> | void
}

const desk = ({ by = "node", ordering = "none", handle = () => {}, ...more }: Desk): AgentDefinition =>
  defineAgent("desk", {
    on: [Asked],
    emits: [Answered],
    from: "start",
    ordering,
    ...more,
    async handle(event, ctx) {
      await handle(event.data.n, ctx.attempt)
      ctx.emit(Answered({ n: event.data.n, by }, { key: "one" }))
    },
  })

async function ask(bus: Bus, ...numbers: number[]): Promise<void> {
  const drafts = numbers.map((n) => Asked({ n }))
  for await (const _ of bus.publishMany(drafts, { producer: "cli" }));
}

const upTo = (count: number, from = 0): number[] => Array.from({ length: count }, (_, n) => from + n)
const numbersOf = (events: readonly MurmurEvent[]): number[] =>
  events.map(({ data }) => (data as { n: number }).n).sort((a, b) => a - b)
const nodesOf = (events: readonly MurmurEvent[]): Set<unknown> =>
  new Set(events.map(({ data }) => (data as { by: string }).by))

describe.concurrent("an agent with ordering none", () => {
  test("shares the work of one key among its nodes, side by side", async () => {
    let running = 0
    let most = 0
    const slowly = async (): Promise<void> => {
      running += 1
      most = Math.max(most, running)
      await delay(20)
      running -= 1
    }
    const mesh = await start({ agents: [desk({ by: "first", concurrency: 3, handle: slowly })] })
    await mesh.addNode({ agents: [desk({ by: "second", concurrency: 3, handle: slowly })] })
    await ask(mesh.bus, ...upTo(60))
    const answers = await take(mesh.bus, "desk.answered", 60)
    expect(numbersOf(answers)).toEqual(upTo(60))
    expect(nodesOf(answers)).toEqual(new Set(["first", "second"]))
    expect(most).toBeGreaterThan(3)
    expect(most).toBeLessThanOrEqual(6)
    await untilDrained(mesh.bus, "desk")
  })

  test("is held up by no slow event, also not on the node that has it", async () => {
    let free = (): void => {}
    const stuck = new Promise<void>((resolve) => {
      free = resolve
    })
    const handle = (n: number): Promise<void> | void => (n < 2 ? stuck : undefined)
    const mesh = await start({ agents: [desk({ by: "first", concurrency: 2, handle })] })
    await ask(mesh.bus, 0)
    await until("it has begun", () => mesh.node.hosts[0]?.inflight === 1)
    await ask(mesh.bus, 1, ...upTo(20, 2))
    // both places of the first are taken now or soon; what is behind is not kept there
    await mesh.addNode({ agents: [desk({ by: "second", concurrency: 8, handle })] })
    expect(numbersOf(await take(mesh.bus, "desk.answered", 20))).toEqual(upTo(20, 2))
    free()
    expect(numbersOf(await take(mesh.bus, "desk.answered", 22))).toEqual(upTo(22))
  })

  test("is not held up by an event that fails and waits for its next attempt", async () => {
    const handle = (n: number): void => {
      if (n === 0) throw new Error("not now")
    }
    const mesh = await start({ agents: [desk({ concurrency: 1, handle })] })
    await ask(mesh.bus, ...upTo(10))
    expect(numbersOf(await take(mesh.bus, "desk.answered", 9))).toEqual(upTo(9, 1))
  })

  test("holds no more on a node than inflightMax", async () => {
    let most = 0
    const handle = (): Promise<void> => {
      most = Math.max(most, mesh.node.hosts[0]?.inflight ?? 0)
      return delay(5)
    }
    const mesh = await start({ agents: [desk({ concurrency: 64, inflightMax: 5, handle })] })
    await ask(mesh.bus, ...upTo(50))
    await take(mesh.bus, "desk.answered", 50)
    expect(most).toBe(5)
  })

  test("hands over at once what a node had not finished when it stopped", async () => {
    const seen: number[] = []
    const first = (n: number): Promise<void> => {
      seen.push(n)
      return new Promise(() => {})
    }
    const mesh = await start({ agents: [desk({ by: "first", concurrency: 3, handle: first })] })
    await ask(mesh.bus, ...upTo(3))
    await until("all have begun", () => seen.length === 3)
    await mesh.addNode({ agents: [desk({ by: "second" })] })
    await mesh.node.stop(100)
    const stoppedAt = Date.now()
    const answers = await take(mesh.bus, "desk.answered", 3)
    expect(Date.now() - stoppedAt, "not only after the ack wait").toBeLessThan(5_000)
    expect([numbersOf(answers), nodesOf(answers)]).toEqual([upTo(3), new Set(["second"])])
  })

  test("sleeps and goes on, on whichever node", async () => {
    const sleeper = (by: string): AgentDefinition =>
      defineAgent("desk", {
        on: [Asked],
        emits: [Answered],
        ordering: "none",
        async handle(event, ctx) {
          await ctx.sleep(300)
          ctx.emit(Answered({ n: event.data.n, by }, { key: "one" }))
        },
      })
    const mesh = await start({ agents: [sleeper("first")] })
    await mesh.addNode({ agents: [sleeper("second")] })
    await ask(mesh.bus, ...upTo(6))
    expect(numbersOf(await take(mesh.bus, "desk.answered", 6))).toEqual(upTo(6))
    await untilDrained(mesh.bus, "desk")
  })

  test("that fails again and again leaves its events to nodes where it works", async () => {
    const broken = (): never => {
      throw new Error("no disk here")
    }
    const slow = { supervision: { intensity: 2, quarantineMs: 60_000 }, retry: { attempts: 2, backoffMs: 60_000 } }
    const mesh = await start({ agents: [desk({ by: "broken", concurrency: 2, handle: broken, ...slow })] })
    await ask(mesh.bus, 0, 1)
    await until("it is quarantined", () => mesh.node.hosts[0]?.quarantined === true)
    await ask(mesh.bus, ...upTo(10, 2))
    await mesh.addNode({ agents: [desk({ by: "sound", ...slow })] })
    const answers = await take(mesh.bus, "desk.answered", 10)
    expect([numbersOf(answers), nodesOf(answers)]).toEqual([upTo(10, 2), new Set(["sound"])])
  })

  test("goes on after its server was gone", async () => {
    const mesh = await start({ agents: [desk({ handle: () => delay(2) })] })
    await ask(mesh.bus, ...upTo(200))
    await take(mesh.bus, "desk.answered", 20)
    await mesh.server.kill9()
    await mesh.server.restart()
    await ask(mesh.bus, ...upTo(200, 200))
    const answers = new Set<number>()
    const signal = AbortSignal.timeout(25_000)
    for await (const event of mesh.bus.observe("desk.answered", { from: "start", signal })) {
      answers.add((event.data as { n: number }).n)
      if (answers.size === 400) break
    }
    expect(answers.size).toBe(400)
  })
})

test.concurrent("two nodes commit each event of one session once", async () => {
  const Counted = defineEvent("desk.counted", z.object({ n: z.number(), count: z.number() }))
  const counter = (): AgentDefinition =>
    defineAgent("counter", {
      on: [Asked],
      emits: [Counted],
      ordering: "none",
      from: "start",
      state: { initial: 0, evolve: { Counted: (count: number, _: { n: number }) => count + 1 } },
      async handle(event, ctx) {
        await delay(event.data.n % 3)
        ctx.record("Counted", { n: event.data.n })
        ctx.emit(Counted({ n: event.data.n, count: ctx.state }, { key: "one" }))
      },
    })
  const mesh = await start({ agents: [counter()] })
  await mesh.addNode({ agents: [counter()] })
  await ask(mesh.bus, ...upTo(80))
  const counted = await take(mesh.bus, "desk.counted", 80)
  await untilDrained(mesh.bus, "counter")
  expect(numbersOf(counted)).toEqual(upTo(80))
  expect(counted.map(({ data }) => (data as { count: number }).count).sort((a, b) => a - b)).toEqual(upTo(80, 1))
  const { state, commits } = await readSession(mesh.bus, "counter", "one", "end")
  expect(state).toBe(80)
  expect(new Set(commits.map(({ cause }) => (cause as { id: string }).id)).size).toBe(commits.length)
})

describe.concurrent("changing the ordering of an agent", () => {
  const deployed = async (of: TestMesh): Promise<string[]> => {
    const names: string[] = []
    for await (const { name } of of.bus.link.manager.consumers.list(of.bus.names.events)) names.push(name)
    return names.filter((name) => name.startsWith("desk"))
  }

  test("loses nothing and begins where it was, there and back", async () => {
    const mesh = await start({ agents: [desk({ ordering: "key" })] })
    await ask(mesh.bus, ...upTo(5))
    await take(mesh.bus, "desk.answered", 5)
    await untilDrained(mesh.bus, "desk")
    await mesh.node.replace({ agents: [], sources: [] })
    await ask(mesh.bus, ...upTo(5, 5))
    const runs: number[] = []
    const note = (n: number): void => void runs.push(n)
    await mesh.node.replace({ agents: [desk({ ordering: "none", handle: note })], sources: [] })
    expect(numbersOf(await take(mesh.bus, "desk.answered", 10))).toEqual(upTo(10))
    await untilDrained(mesh.bus, "desk")
    expect([runs.toSorted((a, b) => a - b), await deployed(mesh)]).toEqual([upTo(5, 5), ["desk=any"]])
    await mesh.node.replace({ agents: [], sources: [] })
    await ask(mesh.bus, ...upTo(5, 10))
    await mesh.node.replace({ agents: [desk({ ordering: "key", handle: note })], sources: [] })
    expect(numbersOf(await take(mesh.bus, "desk.answered", 15))).toEqual(upTo(15))
    expect([runs.slice(5), await deployed(mesh)]).toEqual([upTo(5, 10), ["desk"]])
  })

  test("of one that has seen nothing yet begins where it began", async () => {
    const mesh = await start({})
    await ask(mesh.bus, ...upTo(3))
    const fresh = (ordering: "key" | "none"): AgentDefinition =>
      defineAgent("desk", { on: [Asked], emits: [Answered], ordering, handle: (e, ctx) => ctx.emit(answer(e.data.n)) })
    const answer = (n: number) => Answered({ n, by: "node" }, { key: "one" })
    await mesh.node.replace({ agents: [fresh("key")], sources: [] })
    await mesh.node.replace({ agents: [fresh("none")], sources: [] })
    await ask(mesh.bus, 7)
    expect(numbersOf(await take(mesh.bus, "desk.answered", 1))).toEqual([7])
    await untilDrained(mesh.bus, "desk")
    expect(mesh.node.hosts[0]?.stats.steps).toBe(1)
  })

  test("deployed again, changes nothing", async () => {
    const mesh = await start({ agents: [desk({})] })
    const before = await durableInfo(mesh.bus.link, mesh.bus.names.events, "desk=any")
    await mesh.addNode({ agents: [desk({})] })
    const after = await durableInfo(mesh.bus.link, mesh.bus.names.events, "desk=any")
    expect(after?.created).toBe(before?.created)
    expect(after?.config).toEqual(before?.config)
    expect(after?.config).toMatchObject({ ack_wait: 10e9, max_ack_pending: -1 })
  })
})

describe.concurrent("with nodes as processes", () => {
  const FIXTURE = fileURLToPath(new URL("./fixtures/sharing.ts", import.meta.url))
  beforeAll(() => buildCli())

  test("what a killed node held is done by another within the ack wait", { timeout: 60_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "murmur-sharing-"))
    const runs = join(folder, "runs.txt")
    writeFileSync(runs, "")
    const server = await startTestServer()
    const bus = await openBus({ url: server.url, name: "tester" })
    await bus.ensureStreams()
    const args = [FIXTURE, "--nats", server.url, "--no-http"]
    const nodes = await Promise.all([1, 2].map(() => startNodeProcess(args, { env: { RUNS_FILE: runs } })))
    const lines = (): string[] => readFileSync(runs, "utf8").trim().split("\n")
    try {
      const drafts = upTo(40).map((n) => ({ type: "desk.asked", key: "one", data: { n, ms: 400 } }))
      for await (const _ of bus.publishMany(drafts, { producer: "cli" }));
      const [dying, living] = nodes
      const pid = String(dying?.child.pid)
      await until("it works", () => lines().some((line) => line.endsWith(` ${pid}`)))
      await dying?.kill9()
      const killedAt = Date.now()
      const held = lines().filter((line) => line.endsWith(` ${pid}`)).length
      expect(held).toBeGreaterThan(0)
      const answers = await take(bus, "desk.answered", 40, 30_000)
      expect(Date.now() - killedAt).toBeLessThan(10_000 + 5_000)
      expect(numbersOf(answers)).toEqual(upTo(40))
      await untilDrained(bus, "desk")
      expect(lines().length, "only what was under way ran twice").toBeLessThanOrEqual(40 + 4)
      expect(await living?.terminate()).toBe(0)
    } finally {
      for (const { child, kill9 } of nodes) if (child.exitCode === null && child.signalCode === null) await kill9()
      await bus.close()
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
