import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { DeadLetter } from "../src/agents/dead-letters.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import { answerQuestion, openQuestions } from "../src/node/questions.js"
import { buildCli, jsonOf, murmurAt } from "./cli/support/cli.js"
import { checkMesh, readAll } from "./support/checker.js"
import { flow } from "./support/flow.js"
import { until } from "./support/mesh.js"
import { startTestServer } from "./support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "./support/node-process.js"

/**
 * One agent in two versions. Both handle `work.given` by its `kind`: `plain`; `slow`, which takes a while; `naps` and
 * `asks`, which are suspended in the middle, for a time or for an answer, and make the same calls in both versions;
 * `changed`, which asks too, and whose first call has another name in the new one.
 */
const codeOf = (version: "old" | "new"): string => `
import { appendFileSync } from "node:fs"
import { setTimeout as delay } from "node:timers/promises"
import { defineAgent, defineEvent } from "murmur"
import { z } from "zod"
const Given = defineEvent("work.given", z.object({ key: z.string(), kind: z.string(), ms: z.number(), n: z.number() }), { key: (d) => d.key })
const Done = defineEvent("work.done", z.object({ n: z.number(), count: z.number(), by: z.string() }))
const note = (what, event) => appendFileSync(process.env.RUNS_FILE, [what, event.data.n, process.pid, "${version}"].join(" ") + "\\n")
export const worker = defineAgent("worker", {
  on: [Given], emits: [Done], from: "start", partitions: 8,
  state: { initial: 0, evolve: { Done: (count) => count + 1 }, snapshotEvery: 20 },
  async handle(event, ctx) {
    const { kind, ms, n } = event.data
    note("begin", event)
    if (kind === "slow") await delay(ms)
    if (kind === "deaf") await delay(ms)
    if (kind === "obeys") await delay(ms, undefined, { signal: ctx.signal })
    if (["naps", "asks", "changed"].includes(kind)) {
      await ctx.run(kind === "changed" ? "before, ${version}" : "before", async () => note("before", event))
      if (kind === "naps") await ctx.sleep(ms)
      else await ctx.ask("Go on with " + n + "?", { default: "no" })
      await ctx.run("after", async () => note("after", event))
    }
    ctx.record("Done", {})
    ctx.emit(Done({ n, count: ctx.state, by: "${version}" }, { key: event.data.key }))
    note("end", event)
  },
})
`

const closing: (() => Promise<unknown> | unknown)[] = []
let folder: string
beforeAll(async () => {
  await buildCli()
  folder = mkdtempSync(join(tmpdir(), "murmur-rolling-"))
  for (const version of ["old", "new"] as const) writeFileSync(join(folder, `${version}.js`), codeOf(version))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const NAPS = [1_000_001, 1_000_002, 1_000_003]
const ASKS = [1_000_011, 1_000_012, 1_000_013]
const CHANGED = [1_000_021, 1_000_022]

interface Run {
  readonly what: string
  readonly n: number
  readonly pid: number
  readonly version: string
}

async function scene() {
  const file = join(folder, "runs.txt")
  writeFileSync(file, "")
  const server = await startTestServer()
  closing.push(() => server.stop())
  const bus = await openBus({ url: server.url, name: "tester" })
  closing.push(() => bus.close())
  await bus.ensureStreams()
  const addNode = async (id: string, version: "old" | "new", grace = 25): Promise<NodeProcess> => {
    const env = { RUNS_FILE: file, MURMUR_NODE_ID: id, MURMUR_CODE_VERSION: version, MURMUR_LOG_LEVEL: "error" }
    const args = [join(folder, `${version}.js`), "--nats", server.url, "--no-http", "--grace", String(grace)]
    const node = await startNodeProcess(args, { env })
    closing.push(() => (node.child.exitCode === null ? node.kill9() : undefined))
    return node
  }
  const runs = (): Run[] =>
    readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        const [what = "", n, pid, version = ""] = line.split(" ")
        return { what, n: Number(n), pid: Number(pid), version }
      })
  const give = (n: number, kind: string, ms: number, key = `key ${n}`) =>
    bus.publish({ type: "work.given", key, data: { key, kind, ms, n } }, { producer: "cli" })
  const versions = async (): Promise<string[]> => {
    const nodes = jsonOf<{ codeVersion: string }[]>(await murmurAt(server.url)("nodes", "--json"))
    return nodes.map(({ codeVersion }) => codeVersion)
  }
  return { bus, addNode, runs, give, versions }
}

async function letters(bus: Bus): Promise<DeadLetter[]> {
  const stored = await readAll(bus, bus.names.dead, `${bus.names.mesh}.dead.worker.*`)
  return stored.map(({ data }) => DeadLetter.parse(JSON.parse(Buffer.from(data).toString())))
}

/** Numbers of the events for which something was noted more than once. */
const repeated = (runs: readonly Run[], what: string): number[] => {
  const numbers = runs.filter((run) => run.what === what).map(({ n }) => n)
  return numbers.filter((n, at) => numbers.indexOf(n) !== at)
}

test("nodes are replaced one by one under load: old code finishes its steps, nothing is lost or done twice, suspended steps end clearly", {
  timeout: 150_000,
}, async () => {
  const { bus, addNode, runs, give, versions } = await scene()
  const old = await Promise.all(["old-1", "old-2", "old-3"].map((id) => addNode(id, "old")))
  const load = flow(
    bus,
    (n) => {
      const [key, kind] = [`key ${n % 60}`, n % 97 === 0 ? "slow" : "plain"]
      return { type: "work.given", key, data: { key, kind, ms: 4_000, n } }
    },
    150,
  )
  await until("all old nodes work", () => new Set(runs().map(({ pid }) => pid)).size === 3, 30_000)
  const kinds = { naps: NAPS, asks: ASKS, changed: CHANGED }
  for (const [kind, numbers] of Object.entries(kinds)) for (const n of numbers) await give(n, kind, 5_000)
  const asked = ASKS.length + CHANGED.length
  await until("the steps that ask are suspended", async () => (await openQuestions(bus)).length === asked)
  const seen = new Set<string>()
  for (const [at, node] of old.entries()) {
    await addNode(`new-${at + 1}`, "new")
    seen.add([...new Set(await versions())].sort().join(" and "))
    expect(await node.terminate(), "it leaves within its grace period").toBe(0)
  }
  expect([...seen]).toEqual(["new and old"])
  await until("only new ones are there", async () => (await versions()).join() === "new,new,new")
  const before = runs().length
  await until("the new ones work", () => runs().length > before + 500)
  const count = await load.stop()
  for (const { id } of await openQuestions(bus)) await answerQuestion(bus, id, "yes", { by: "tester" })
  const ended = (): number => runs().filter(({ what }) => what === "after").length
  await until("what was suspended has gone on", () => ended() === NAPS.length + ASKS.length, 30_000)
  await until(
    "what the new code cannot go on with is a dead letter",
    async () => (await letters(bus)).length === 2,
    30_000,
  )

  const { events, sessions, dead } = await checkMesh(bus, { agent: "worker", on: ["work.given"], withinMs: 40_000 })
  expect([events.size, dead.size]).toEqual([count + NAPS.length + asked, CHANGED.length])
  for (const { error } of await letters(bus)) {
    expect(error.code).toBe("NONDETERMINISM")
    expect(error.message).toContain("before, new")
  }
  const codes = new Set([...sessions.values()].flatMap((commits) => commits.map(({ code }) => code)))
  expect(codes.size, "commits tell which code made them").toBe(2)
  for (const commits of sessions.values()) {
    const counts = commits.flatMap(({ outputs }) => outputs.map(({ data }) => (data as { count: number }).count))
    expect(counts, "a session goes on from old code to new").toEqual(counts.map((_, at) => at + 1))
  }
  const all = runs()
  for (const what of ["before", "after"]) expect(repeated(all, what), `"${what}" ran once each`).toEqual([])
  const flowing = all.filter(({ n }) => n < 1_000_000)
  expect(repeated(flowing, "begin"), "no step was begun by two nodes").toEqual([])
  const resumed = all.filter(({ what, n }) => what === "after" && ASKS.includes(n))
  expect(new Set(resumed.map(({ version }) => version)), "begun by old code, ended by new").toEqual(new Set(["new"]))
})

test("a step that does not end within the grace period is handed back and done by another node", {
  timeout: 90_000,
}, async () => {
  const { bus, addNode, runs, give } = await scene()
  const first = await addNode("first", "old", 1)
  await give(1, "obeys", 60_000)
  await give(2, "deaf", 6_000)
  await until("both run", () => runs().filter(({ what }) => what === "begin").length === 2)
  await addNode("second", "new")
  const began = Date.now()
  expect(await first.terminate()).toBe(0)
  expect(Date.now() - began).toBeLessThan(6_000)
  await until("the second begins them", () => runs().filter(({ version }) => version === "new").length === 2, 20_000)
  await until("one is done", () =>
    runs().some(({ what, n, version }) => what === "end" && n === 2 && version === "new"),
  )
  expect(runs().filter(({ what, version }) => what === "end" && version === "old")).toEqual([])
  const again = runs().filter(({ what, n }) => what === "begin" && n === 2)
  expect(again.map(({ version }) => version)).toEqual(["old", "new"])
  const stored = async (): Promise<number> =>
    (await readAll(bus, bus.names.sessionsOf("worker"), `${bus.names.mesh}.ses.worker.*`)).length
  await until("its commit is there", async () => (await stored()) === 1)
})
