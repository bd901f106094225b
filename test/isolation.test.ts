import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest"
import { defineAgent } from "../src/agents/define-agent.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import type { EventDraft, MurmurEvent } from "../src/bus/event.js"
import { DeadLetters } from "../src/node/dead-letter-store.js"
import { Loader, loadAgain } from "../src/node/loader.js"
import { readSession } from "../src/node/session-view.js"
import { buildCli } from "./cli/support/cli.js"
import { Ping, Task } from "./fixtures/isolated.js"
import { untilDrained } from "./support/checker.js"
import { startMesh, take, until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "./support/node-process.js"

const FIXTURE = fileURLToPath(new URL("./fixtures/isolated.ts", import.meta.url))

let folder: string
let server: TestServer
let bus: Bus
const nodes: NodeProcess[] = []

beforeAll(async () => {
  await buildCli()
  folder = mkdtempSync(join(tmpdir(), "murmur-isolation-"))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))
beforeEach(async () => {
  server = await startTestServer()
  bus = await openBus({ url: server.url, name: "tester" })
  await bus.ensureStreams()
})
afterEach(async () => {
  for (const node of nodes.splice(0)) {
    if (node.child.exitCode === null && node.child.signalCode === null) await node.kill9()
  }
  await bus.close()
  await server.stop()
})

async function startNode(files = [FIXTURE], env: Record<string, string> = {}): Promise<NodeProcess> {
  const node = await startNodeProcess([...files, "--nats", server.url, "--no-http"], { env })
  nodes.push(node)
  return node
}

const publish = (draft: EventDraft): Promise<{ seq: number }> => bus.publish(draft, { producer: "cli" })

const task = (what: string, n = 0): EventDraft => Task({ do: what, n })

/** What the lab told in its newest event, when there are so many. */
async function told(count: number): Promise<{ readonly first: { readonly pid: number } }> {
  const told = (await take(bus, "lab.done", count)).map(({ data }) => data as { what: { first: { pid: number } } })
  const { what } = told[count - 1] as (typeof told)[number]
  return what
}

/** Each dead letter as `agent reason CODE CODE`, with the code of each attempt. */
async function letters(): Promise<string[]> {
  const found: string[] = []
  for await (const { letter } of new DeadLetters(bus).list()) {
    found.push([letter.agent, letter.reason, ...letter.attempts.map(({ code }) => code)].join(" "))
  }
  return found.toSorted()
}

const untilLetters = (count: number): Promise<void> =>
  until(`${count} dead letters`, async () => (await letters()).length === count, 60_000)

async function deliveriesOf(agent: string): Promise<{ delivered: number; again: number }> {
  const { delivered, num_redelivered: again } = await bus.link.manager.consumers.info(bus.names.events, agent)
  return { delivered: delivered.consumer_seq, again }
}

test("a handler that never ends and one that takes all memory end their own steps, and nothing else", async () => {
  const node = await startNode()
  const kinds = ["arrays", "map", "buffers"]
  for (let n = 0; n < 3; n++) await publish({ type: "lab.loop", data: { n } })
  for (const kind of kinds) await publish({ type: "lab.hoard", data: { kind } })

  const latencies: number[] = []
  const pids = new Set<unknown>()
  const pongs = bus.observe("lab.pong", { from: "start", signal: AbortSignal.timeout(60_000) })[Symbol.asyncIterator]()
  let done = false
  const watching = untilLetters(6).finally(() => {
    done = true
  })
  watching.catch(() => {}) // awaited below
  for (let n = 0; !done; n++) {
    const sentAt = performance.now()
    await publish(Ping({ n }))
    const { value: pong }: { value: MurmurEvent } = await pongs.next()
    pids.add((pong.data as { pid: number }).pid)
    latencies.push(performance.now() - sentAt)
    await delay(20) // a quiet agent, so that what disturbs it is seen
  }
  await pongs.return?.(undefined)
  await watching

  expect(await letters()).toEqual([
    ...kinds.map(() => "hoarder failed STEP_MEMORY STEP_MEMORY"),
    ...[0, 1, 2].map(() => "looper failed STEP_TIMEOUT STEP_TIMEOUT"),
  ])
  const [median = Number.NaN, worst] = [
    latencies.toSorted((a, b) => a - b)[latencies.length >> 1],
    Math.max(...latencies),
  ]
  expect(latencies.length).toBeGreaterThan(20)
  expect(median).toBeLessThan(200)
  expect(worst).toBeLessThan(3_000)
  expect([...pids]).toEqual([node.child.pid])
  for (const agent of ["looper", "hoarder", "steady"]) await untilDrained(bus, agent)
  expect(await deliveriesOf("looper")).toEqual({ delivered: 3, again: 0 })
  expect(await deliveriesOf("hoarder")).toEqual({ delivered: 3, again: 0 })
  expect(await deliveriesOf("steady")).toEqual({ delivered: latencies.length, again: 0 })
  expect(node.child.exitCode).toBeNull()
  expect(node.stderr()).not.toContain("Native stack trace") // V8's last words help nobody
}, 90_000)

test("what a handler in a worker does is what it would do in the node", async () => {
  const node = await startNode()
  await publish(task("everything"))
  const first = await told(1)
  expect(first).toMatchObject({ agent: "lab", key: "everything 0", attempt: 1, state: { seen: 2 }, both: ["A", "B"] })
  expect(first.first.pid).not.toBe(node.child.pid)
  expect((await readSession(bus, "lab", "everything 0", "end")).state).toEqual({ seen: 2 })

  await publish(task("everything")) // by the same worker, on the state that it has left
  expect(await told(2)).toMatchObject({ state: { seen: 4 }, first: first.first })

  await publish(task("sleep", 200))
  expect(await told(3)).toBe("slept")
  await publish(task("sleep beside work", 200))
  expect(await told(4)).toEqual([1, 2])
  expect(await letters()).toEqual([])
})

test("each way in which a step can fail is a failed attempt, with its own code, and the next step has a worker", async () => {
  await startNode()
  const ways = [
    ["exit", "STEP_EXITED", "STEP_EXITED"],
    ["throw later", "STEP_CRASHED", "STEP_CRASHED"],
    ["reject unseen", "STEP_CRASHED", "STEP_CRASHED"],
    ["emit for ever", "STEP_MEMORY", "STEP_MEMORY"],
    ["retryable", "BUSY", "BUSY"],
    ["plain error", "EOUT", "EOUT"],
    ["terminal", "NO"],
    ["undeclared", "EMIT_UNDECLARED"],
  ] as const
  for (const [what] of ways) await publish(task(what))
  await untilLetters(ways.length)
  const reason = (codes: readonly string[]): string => (codes.length === 1 ? "terminal" : "failed")
  const wanted = ways.map(([, ...codes]) => ["lab", reason(codes), ...codes].join(" "))
  expect(await letters()).toEqual(wanted.toSorted())
  await publish(task("everything"))
  expect(await told(1)).toMatchObject({ attempt: 1 })
})

test("a worker that loops does not outlive a node that was killed", async () => {
  const pidsFile = join(folder, "pids")
  const node = await startNode([FIXTURE], { LOOPING_PIDS: pidsFile })
  await publish({ type: "lab.loop", data: { n: 0 } })
  await until("it loops", () => existsSync(pidsFile) && readFileSync(pidsFile, "utf8").includes("\n"))
  const pid = Number.parseInt(readFileSync(pidsFile, "utf8"), 10)
  await node.kill9()
  await until("the worker is gone", () => !isRunning(pid), 5_000)
})

test("a node that stops takes its workers along, and exits with 0", async () => {
  const node = await startNode()
  await publish(task("everything"))
  const { pid } = (await told(1)).first
  expect(isRunning(pid)).toBe(true)
  expect(await node.terminate()).toBe(0)
  await until("the worker is gone", () => !isRunning(pid), 5_000)
})

test("an edited agent gets new workers", async () => {
  const file = join(folder, "edited.ts")
  const write = (version: number): void =>
    writeFileSync(
      file,
      `import { defineAgent, defineEvent } from "murmur"
       import { z } from "zod"
       const Told = defineEvent("edit.told", z.object({ version: z.number() }))
       export default defineAgent("edited", {
         on: ["edit.asked"], emits: [Told], isolation: "worker",
         handle: (event, ctx) => ctx.emit(Told({ version: ${version} })),
       })`,
    )
  write(1)
  const node = await startNode([file, "--watch"])
  await publish({ type: "edit.asked", data: {} })
  expect((await take(bus, "edit.told", 1))[0]?.data).toEqual({ version: 1 })
  write(2)
  await until("the edit is in", () => node.stderr().includes("swapped edited code in"))
  await publish({ type: "edit.asked", data: {} })
  expect((await take(bus, "edit.told", 2))[1]?.data).toEqual({ version: 2 })
})

test("an agent that was made in code cannot have workers, and says so when its node starts", async () => {
  const agent = defineAgent("homeless", { on: ["a"], isolation: "worker", handle() {} })
  await expect(startMesh({ agents: [agent] })).rejects.toMatchObject({
    code: "AGENT_ISOLATION",
    message: expect.stringContaining('"homeless"'),
  })
})

test("a worker loads what its node has loaded, or nothing", async () => {
  const { agents } = await new Loader([FIXTURE]).load()
  expect(agents.map(({ name }) => name)).toContain("lab")
  const wanted = { agent: "lab", file: FIXTURE, fingerprint: "another" }
  await expect(loadAgain(wanted)).rejects.toMatchObject({ code: "AGENT_CHANGED" })
  await expect(loadAgain({ ...wanted, file: join(folder, "gone.ts") })).rejects.toMatchObject({ code: "AGENT_CHANGED" })
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
