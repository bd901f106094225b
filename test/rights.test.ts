import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { map } from "rxjs"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { z } from "zod"
import { taskList } from "../src/agents/builtin/task-list.js"
import { type AgentDefinition, defineAgent } from "../src/agents/define-agent.js"
import { defineTool } from "../src/agents/tools/define-tool.js"
import { tumbling } from "../src/agents/windows/operators.js"
import { defineEvent } from "../src/bus/define-event.js"
import type { MurmurEvent } from "../src/bus/event.js"
import { TerminalError } from "../src/errors.js"
import { scripted } from "../src/gateways/scripted/scripted.js"
import { startHttp } from "../src/http/server.js"
import { DeadLetterRetry, DeadLetters } from "../src/node/dead-letter-store.js"
import type { Hosted } from "../src/node/hosted.js"
import { Loader } from "../src/node/loader.js"
import type { MurmurNode } from "../src/node/node.js"
import { answerQuestion, openQuestions } from "../src/node/questions.js"
import { readSession } from "../src/node/session-view.js"
import { filesystem } from "../src/sources/filesystem.js"
import { schedule } from "../src/sources/schedule.js"
import { noTelemetry } from "../src/telemetry/ports.js"
import { buildCli } from "./cli/support/cli.js"
import { take, until } from "./support/mesh.js"
import { type NodeProcess, startNodeProcess } from "./support/node-process.js"
import { type SecuredMesh, startSecuredMesh } from "./support/secured-mesh.js"

const Order = defineEvent("shop.order", z.object({ n: z.number() }), { key: (d) => `k${d.n % 2}` })
const Done = defineEvent("shop.done", z.object({ by: z.string(), n: z.number(), saw: z.unknown() }), {
  key: (d) => `k${d.n % 2}`,
})

const ISOLATED = fileURLToPath(new URL("./fixtures/toolbox.ts", import.meta.url))
const COUNTING = fileURLToPath(new URL("./fixtures/counting.ts", import.meta.url))

let mesh: SecuredMesh | undefined
let folder: string
const processes: NodeProcess[] = []
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "murmur-rights-"))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))
afterEach(async () => {
  for (const { child, kill9 } of processes.splice(0))
    if (child.exitCode === null && child.signalCode === null) await kill9()
  await mesh?.stop()
  mesh = undefined
})

async function start(hosted: Partial<Hosted>, intake = false): Promise<{ mesh: SecuredMesh; node: MurmurNode }> {
  mesh = await startSecuredMesh({ node: { hosted, intake } })
  return { mesh, node: await mesh.start("node") }
}

async function publish({ admin }: SecuredMesh, ...numbers: number[]): Promise<void> {
  for (const n of numbers) await admin.publish(Order({ n }, { id: `order-${n}` }), { producer: "cli" })
}

/** What an agent has told, in the order in which it is stored. */
async function told({ admin }: SecuredMesh, count: number): Promise<{ by: string; n: number; saw: unknown }[]> {
  return (await take(admin, "shop.done", count)).map(({ data }) => data as never)
}

test("agents of every kind with a handler need no more rights than are compiled for them", async () => {
  const plain = defineAgent("plain", {
    on: [Order],
    emits: [Done],
    handle: (event, ctx) => ctx.emit(Done({ by: "plain", n: event.data.n, saw: null })),
  })
  const loose = defineAgent("loose", {
    on: [Order],
    emits: [Done],
    ordering: "none",
    handle: (event, ctx) => ctx.emit(Done({ by: "loose", n: event.data.n, saw: null })),
  })
  const wide = defineAgent("wide", {
    on: [Order],
    emits: [Done],
    partitions: 8,
    state: { initial: 0, evolve: { Added: (sum: number, n: number) => sum + n }, keepCommits: 2, snapshotEvery: 2 },
    async handle(event, ctx) {
      const { n } = event.data
      const saw = await ctx.run("look", () => n * 10)
      await ctx.sleep(50)
      ctx.record("Added", n)
      ctx.emit(Done({ by: "wide", n, saw }))
    },
  })
  const asker = defineAgent("asker", {
    on: [Order],
    emits: [Done],
    async handle(event, ctx) {
      const { n } = event.data
      if (n === 1)
        ctx.emit(
          Done({ by: "asker", n, saw: await ctx.ask("Go on?", { choices: ["yes", "no"], default: "no" } as never) }),
        )
    },
  })
  const helper = defineAgent("helper", {
    on: [],
    input: z.object({ n: z.number() }),
    async handle(event, ctx) {
      if (event.data.input.n === 2) throw new TerminalError("not two", { code: "NOT_TWO" })
      ctx.reply(event.data.input.n + 100)
    },
  })
  const desk = defineAgent("desk", {
    on: [Order],
    emits: [Done],
    async handle(event, ctx) {
      const { n } = event.data
      const [result] = await ctx.gather([{ agent: helper, input: { n } }])
      ctx.emit(Done({ by: "desk", n, saw: result?.ok === true ? result.output : result?.error.code }))
    },
  })
  const broken = defineAgent("broken", {
    on: [Order],
    retry: { attempts: 1 },
    supervision: { intensity: 1, withinMs: 60_000, quarantineMs: 1_000 },
    handle: () => {
      throw new Error("broken")
    },
  })
  const { mesh, node } = await start({ agents: [plain, loose, wide, asker, helper, desk, broken] as AgentDefinition[] })
  await publish(mesh, 1, 2, 3, 4)
  await until("a question is asked", async () => (await openQuestions(mesh.admin)).length === 1)
  const [question] = await openQuestions(mesh.admin)
  await answerQuestion(mesh.admin, question?.id ?? "", "yes", { by: "ada" })
  const all = await told(mesh, 17)
  const by = (agent: string) =>
    all
      .filter((one) => one.by === agent)
      .sort((a, b) => a.n - b.n)
      .map(({ saw }) => saw)
  expect(by("wide")).toEqual([10, 20, 30, 40])
  expect(by("asker")).toEqual(["yes"])
  expect(by("desk")).toEqual([101, "NOT_TWO", 103, 104])
  expect([by("plain").length, by("loose").length]).toEqual([4, 4])
  expect((await readSession(mesh.admin, "wide", "k1", "end")).state).toBe(4)
  await until("what is broken is buried or waits", async () =>
    (await letters(mesh)).some(({ agent }) => agent === "broken"),
  )
  await take(mesh.admin, "murmur.agent.quarantined", 1)
  await node.stop(5_000)
  expect(mesh.violations()).toEqual([])
}, 90_000)

test("windows, models with tools, sources and HTTP intake need no more either", async () => {
  const sums = defineAgent("sums", {
    on: [Order],
    emits: [Done],
    from: "start",
    react: (orders) =>
      orders.pipe(
        tumbling<MurmurEvent<{ n: number }>>(1_000),
        map(({ events }) => Done({ by: "sums", n: events[0]?.data.n ?? 0, saw: events.length })),
      ),
  })
  const long = defineTool({
    name: "long",
    description: "Brings much",
    input: z.object({}),
    effect: "read",
    run: () => "x".repeat(400_000),
  })
  const model = scripted({
    replies: [
      {
        turns: [
          { toolCalls: [{ name: "long" }] },
          { toolCalls: [{ name: "taskList", arguments: { add: ["a"] } }] },
          "done",
        ],
      },
    ],
  })
  const thinker = defineAgent("thinker", {
    on: [Order],
    emits: [Done],
    tools: [long, taskList()],
    instructions: "Look it up.",
  })
  const drop = join(folder, "drop")
  mkdirSync(drop, { recursive: true })
  const files = filesystem("files", { path: drop })
  const clock = schedule("clock", {
    emits: [Done],
    jobs: [{ name: "second", cron: "* * * * * *", event: (due) => Done({ by: "clock", n: 0, saw: due.name }) }],
  })
  const hosted = { agents: [sums, thinker] as AgentDefinition[], sources: [files, clock] }
  const models = { gateways: [model], default: "scripted/demo" }
  const { mesh, node } = await start({ ...hosted, models: models as never }, true)
  const base = Date.UTC(2026, 0, 1)
  for (const second of [0, 1, 2]) {
    await mesh.admin.publish(Order({ n: 1 }, { time: new Date(base + second * 1_000) }), { producer: "cli" })
  }
  const http = await startHttp(
    {
      readiness: () => node.readiness(),
      metricsText: async () => "",
      publish: (draft, how) => node.publish(draft, how),
      webhooks: [],
      telemetry: noTelemetry,
    },
    { port: 0 },
  )
  const body = JSON.stringify({
    specversion: "1.0",
    id: "1",
    source: "test",
    type: "shop.order",
    subject: "k1",
    data: { n: 1 },
  })
  const headers = { "content-type": "application/cloudevents+json" }
  expect((await fetch(`${http.url}/events`, { method: "POST", headers, body })).status).toBeLessThan(300)
  await http.close()
  await until("windows, files, the clock and the model have told", async () => {
    writeFileSync(join(drop, "a.txt"), String(Math.random()))
    const seen = new Set<string>()
    for await (const { data, type } of mesh.admin.observe(">", { from: "start", signal: AbortSignal.timeout(500) })) {
      seen.add(type === "shop.done" ? (data as { by: string }).by : type.replace(/^file\..*/, "file"))
    }
    return ["sums", "clock", "file", "murmur.run.completed"].every((one) => seen.has(one))
  })
  await node.stop(5_000)
  expect(mesh.violations()).toEqual([])
}, 90_000)

test("a node that dies is taken over, workers and budgets included, with no more rights", async () => {
  await buildCli()
  const hosted = { agents: (await new Loader([COUNTING, ISOLATED]).load()).agents }
  mesh = await startSecuredMesh({ node: { hosted } })
  const { admin, server } = mesh
  const up = () =>
    startNodeProcess([
      COUNTING,
      ISOLATED,
      "--nats",
      server.url,
      "--mesh",
      "test",
      "--nkey",
      mesh?.seedFile("node") ?? "",
      "--no-http",
    ])
  const first = await up()
  processes.push(first)
  const second = await up()
  processes.push(second)
  const give = async (from: number, to: number): Promise<void> => {
    for (let n = from; n < to; n++) {
      await admin.publish(
        { type: "work.given", key: `k${n % 7}`, data: { key: `k${n % 7}`, n }, id: `work-${n}` },
        { producer: "cli" },
      )
    }
  }
  await give(0, 100)
  await first.kill9()
  await give(100, 200)
  await admin.publish({ type: "box.opened", key: "web", data: { to: "ada" } }, { producer: "cli" })
  await until("the tool asks", async () => (await openQuestions(admin)).length === 1)
  const [question] = await openQuestions(admin)
  await answerQuestion(admin, question?.id ?? "", "yes", { by: "ada" })
  await take(admin, "box.done", 1)
  const booked = await take(admin, "work.booked", 200, 30_000)
  expect(new Set(booked.map(({ data }) => (data as { n: number }).n)).size).toBe(200)
  expect(await second.terminate()).toBe(0)
  expect(mesh.violations()).toEqual([])
}, 120_000)

test("the same rights do on a cluster of three, also when a server dies", async () => {
  const hosted = { agents: (await new Loader([COUNTING]).load()).agents }
  mesh = await startSecuredMesh({ node: { hosted } }, { cluster: true })
  const { admin, servers } = mesh
  const node = await mesh.start("node")
  const give = async (from: number, to: number): Promise<void> => {
    for (let n = from; n < to; n++) {
      const data = { key: `k${n % 7}`, n }
      await admin.publish({ type: "work.given", key: data.key, data, id: `work-${n}` }, { producer: "cli" })
    }
  }
  await give(0, 50)
  await take(admin, "work.booked", 50, 30_000)
  await servers[1]?.kill9()
  await give(50, 100)
  const booked = await take(admin, "work.booked", 100, 60_000)
  expect(new Set(booked.map(({ data }) => (data as { n: number }).n)).size).toBe(100)
  await node.stop(5_000)
  expect(mesh.violations()).toEqual([])
}, 180_000)

test("a dead letter that an operator sends back is taken from the inbox", async () => {
  let fails = true
  const fixed = defineAgent("fixed", {
    on: [Order],
    emits: [Done],
    retry: { attempts: 1 },
    handle: (event, ctx) => {
      if (fails) throw new TerminalError("not yet", { code: "NOT_YET" })
      ctx.emit(Done({ by: "fixed", n: event.data.n, saw: null }))
    },
  })
  const { mesh } = await start({ agents: [fixed] as AgentDefinition[] })
  await publish(mesh, 1)
  await until("it is buried", async () => (await letters(mesh)).length === 1)
  fails = false
  const dead = new DeadLetters(mesh.admin)
  for await (const stored of dead.list({})) await new DeadLetterRetry(mesh.admin, dead).retry(stored, 5_000)
  await told(mesh, 1)
  expect(mesh.violations()).toEqual([])
}, 60_000)

async function letters({ admin }: SecuredMesh): Promise<{ agent: string }[]> {
  const found: { agent: string }[] = []
  for await (const { letter } of new DeadLetters(admin).list({})) found.push(letter)
  return found
}
