import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { z } from "zod"
import { defineAgent, type HandlerOptions } from "../src/agents/define-agent.js"
import { parseRecord } from "../src/agents/journal/records.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import { defineEvent } from "../src/bus/define-event.js"
import { readHistory } from "../src/bus/reader.js"
import { DeadLetters } from "../src/node/dead-letter-store.js"
import { buildCli } from "./cli/support/cli.js"
import { startMesh, type TestMesh, take, until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "./support/node-process.js"

async function lettersOf(bus: Bus) {
  const letters = []
  for await (const { letter } of new DeadLetters(bus).list()) letters.push(letter)
  return letters
}

/** Kinds of the records in a step's journal. */
async function journalOf({ link, names }: Bus, agent: string, step: string): Promise<string[]> {
  const kinds: string[] = []
  const filter = `${names.mesh}.step.${agent}.${step}`
  for await (const { data, subject } of readHistory(link, { stream: names.stepsOf("any"), filter, from: { seq: 1 } })) {
    kinds.push(parseRecord(data, subject).kind)
  }
  return kinds
}

describe("in one process an attempt", () => {
  const Task = defineEvent("try.task", z.object({ n: z.number() }), { key: () => "k" })
  const Done = defineEvent("try.done", z.object({ attempt: z.number(), previous: z.unknown() }))
  let mesh: TestMesh
  afterEach(() => mesh?.stop())

  const trier = (handle: HandlerOptions<[typeof Task]>["handle"], retry: object = {}) =>
    defineAgent("trier", { on: [Task], emits: [Done], retry: { attempts: 5, backoffMs: 1, ...retry }, handle })
  const publish = () => mesh.bus.publish(Task({ n: 1 }, { id: "task" }), { producer: "cli" })
  const done = async () => (await take(mesh.bus, "try.done", 1))[0]?.data
  const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

  test("is told how the one before failed, and what it had done", async () => {
    mesh = await startMesh({
      agents: [
        trier(async (_, ctx) => {
          const previous = ctx.previousAttempt
          await ctx.run("first", () => 1)
          if (ctx.attempt === 1) throw Object.assign(new Error("once"), { code: "EONCE" })
          if (ctx.attempt === 2) await ctx.run("second", () => wait(80).then(() => Promise.reject(new Error("twice"))))
          ctx.emit(Done({ attempt: ctx.attempt, previous: previous ?? null }))
        }),
      ],
    })
    await publish()
    expect(await done()).toEqual({
      attempt: 3,
      previous: {
        attempt: 2,
        ended: "failed",
        at: expect.stringMatching(/^\d{4}-/),
        error: { code: "ERROR", message: "twice" },
        calls: [{ call: "run second", answered: false }],
      },
    })
  })

  test("goes on counting on the next node when its own was stopped between two attempts", async () => {
    const attempts: number[] = []
    const agent = trier(
      (_, ctx) => {
        attempts.push(ctx.attempt)
        if (attempts.length < 3) throw new Error(`no ${attempts.length}`)
        ctx.emit(Done({ attempt: ctx.attempt, previous: ctx.previousAttempt?.error?.message }))
      },
      { backoffMs: 400, backoffMsMax: 60_000 },
    )
    mesh = await startMesh({ agents: [agent] })
    await publish()
    await until("it has failed twice", () => attempts.length === 2)
    await mesh.node.stop()
    await mesh.addNode({ agents: [agent] })
    expect(await done()).toEqual({ attempt: 3, previous: "no 2" })
    expect(attempts).toEqual([1, 2, 3])
  })

  test("that a clean stop ends is no failure and no death; the next one is told where it was", async () => {
    let begun = 0
    const agent = trier(async (_, ctx) => {
      const previous = ctx.previousAttempt ?? null
      await ctx.run("first", () => 1)
      if (++begun === 1) await ctx.run("long", () => wait(600_000))
      ctx.emit(Done({ attempt: ctx.attempt, previous }))
    })
    mesh = await startMesh({ agents: [agent] })
    await publish()
    await until("the long call is noted", async () => (await journalOf(mesh.bus, "trier", "task")).includes("begun"))
    await mesh.node.stop(100)
    await mesh.addNode({ agents: [agent] })
    expect(await done()).toMatchObject({
      attempt: 1,
      previous: {
        ended: "stopped",
        calls: [
          { call: "run first", answered: true },
          { call: "run long", answered: false },
        ],
      },
    })
  })

  test("goes on when its process loses its connection: that is no death either", async () => {
    let runs = 0
    const agent = trier(async (_, ctx) => {
      runs += 1
      await ctx.run("long", () => wait(1_500))
      ctx.emit(Done({ attempt: ctx.attempt, previous: ctx.previousAttempt ?? null }))
    })
    mesh = await startMesh({ agents: [agent] })
    await publish()
    await until("the long call is noted", async () => (await journalOf(mesh.bus, "trier", "task")).includes("begun"))
    await mesh.node.bus.link.connection.reconnect()
    expect(await done()).toEqual({ attempt: 1, previous: null })
    expect([runs, await journalOf(mesh.bus, "trier", "task")]).toEqual([1, ["begun", "answer"]])
  })
})

describe.concurrent("after a process died", () => {
  const FIXTURE = fileURLToPath(new URL("./fixtures/mortal.ts", import.meta.url))
  let folder: string
  const scenes = new Set<Scene>()

  beforeAll(async () => {
    await buildCli()
    folder = mkdtempSync(join(tmpdir(), "murmur-mortal-"))
  }, 120_000)
  afterAll(async () => {
    for (const scene of scenes) await scene.close()
    rmSync(folder, { recursive: true, force: true })
  })

  /** A server and nodes for one test: they stand side by side, as most of their time is waiting for a partition. */
  class Scene {
    readonly #runsFile = join(folder, `runs-${scenes.size}.txt`)
    readonly #nodes: NodeProcess[] = []

    private constructor(
      readonly server: TestServer,
      readonly bus: Bus,
    ) {
      scenes.add(this)
      writeFileSync(this.#runsFile, "")
    }

    static async open(): Promise<Scene> {
      const server = await startTestServer()
      const bus = await openBus({ url: server.url, name: "tester" })
      await bus.ensureStreams()
      return new Scene(server, bus)
    }

    async close(): Promise<void> {
      for (const { child, kill9 } of this.#nodes.splice(0)) {
        if (child.exitCode === null && child.signalCode === null) await kill9()
      }
      await this.bus.close()
      await this.server.stop()
    }

    async startNode(): Promise<NodeProcess> {
      const args = [FIXTURE, "--nats", this.server.url, "--no-http"]
      const node = await startNodeProcess(args, { env: { RUNS_FILE: this.#runsFile } })
      this.#nodes.push(node)
      return node
    }

    publish(does: string, n: number, key: string) {
      const draft = { type: "mortal.task", key, data: { does, n, key }, id: `task-${n}` }
      return this.bus.publish(draft, { producer: "cli" })
    }

    /** What each run said of itself: what it does, its number, which attempt, in which process. */
    runs(): string[][] {
      const lines = readFileSync(this.#runsFile, "utf8").trimEnd().split("\n")
      return lines.map((line) => line.split(" "))
    }

    journal(step: string): Promise<string[]> {
      return journalOf(this.bus, "mortal", step)
    }

    letters() {
      return lettersOf(this.bus)
    }

    /** Starts nodes, one after the other, until a letter is there. @returns how many of them died */
    async restartUntilGivenUp(): Promise<number> {
      for (let deaths = 0; deaths < 20; deaths++) {
        const node = await this.startNode().catch(() => undefined) // it may die before it is ready
        const dead = (): boolean => node === undefined || node.child.exitCode !== null
        await until("it is dead, or has given the event up", async () => dead() || (await this.letters()).length > 0)
        if (!dead()) return deaths
      }
      throw new Error("twenty processes died")
    }
  }

  test("in a call, the next attempt is told which one it was", { timeout: 60_000 }, async () => {
    const scene = await Scene.open()
    const first = await scene.startNode()
    await scene.publish("take long once", 1, "a")
    await until("the long call is noted", async () => (await scene.journal("task-1")).includes("begun"))
    await first.kill9()
    await scene.startNode()
    const [done] = await take(scene.bus, "mortal.done", 1)
    expect(done?.data).toEqual({
      n: 1,
      attempt: 2,
      previous: {
        attempt: 1,
        ended: "died",
        at: expect.stringMatching(/^\d{4}-/),
        calls: [
          { call: "run first", answered: true },
          { call: "run long", answered: false },
        ],
      },
    })
  })

  test("between two attempts, they are counted on", { timeout: 60_000 }, async () => {
    const scene = await Scene.open()
    const first = await scene.startNode()
    await scene.publish("fail", 1, "a")
    await until(
      "it has failed twice",
      async () => (await scene.journal("task-1")).filter((kind) => kind === "ended").length >= 2,
    )
    await first.kill9()
    const failed = scene.runs().length
    await scene.startNode()
    await until("it is given up", async () => (await scene.letters()).length === 1)
    const [letter] = await scene.letters()
    expect(scene.runs().map(([, , attempt]) => Number(attempt))).toEqual([1, 2, 3, 4, 5])
    expect(failed).toBeLessThan(5)
    expect(letter).toMatchObject({ reason: "failed", error: { message: "failed in attempt 5" } })
    expect(letter?.attempts.map(({ message }) => message)).toEqual([1, 2, 3, 4, 5].map((n) => `failed in attempt ${n}`))
  })

  test.each([
    // the first death of a handler that has journaled nothing is known to nobody
    ["exit", 6, [], "before its first call"],
    ["exit in a call after a sleep", 5, [true, false], 'in "run fatal"'],
  ])(
    "and again and again by one poison event (%s), it is given up, and nothing else with it",
    { timeout: 120_000 },
    async (does, deaths, calls, where) => {
      const scene = await Scene.open()
      for (let n = 0; n < 10; n++) await scene.publish("work", n, `key ${n}`)
      await scene.publish(does, 100, "poison")
      await scene.publish("work", 101, "poison")
      for (let n = 10; n < 20; n++) await scene.publish("work", n, `key ${n}`)
      const died = await scene.restartUntilGivenUp()
      const done = await take(scene.bus, "mortal.done", 21)
      expect(new Set(done.map(({ causationid }) => causationid)).size).toBe(21)
      expect(done.map(({ causationid }) => causationid)).not.toContain("task-100")
      const [letter, ...more] = await scene.letters()
      expect(more).toEqual([])
      expect(letter).toMatchObject({ reason: "died", event: { id: "task-100" }, error: { code: "STEP_DIED" } })
      expect(letter?.attempts).toHaveLength(5)
      expect(letter?.attempts.at(-1)).toMatchObject({ code: "STEP_DIED", message: `The process died ${where}` })
      expect((letter?.calls ?? []).map(({ answered }) => answered)).toEqual(calls)
      expect(died).toBe(deaths)
    },
  )
})
