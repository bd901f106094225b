import { setTimeout as delay } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import { readHistory } from "../src/bus/reader.js"
import { buildCli } from "./cli/support/cli.js"
import { Sum, Worked } from "./fixtures/summing.js"
import type { FakeReply, SeenRequest } from "./support/llm/fake-protocol.js"
import type { FakeServer } from "./support/llm/fake-server.js"
import { startOpenAiServer } from "./support/llm/openai-server.js"
import { take, until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "./support/node-process.js"

const FIXTURE = fileURLToPath(new URL("./fixtures/summing.ts", import.meta.url))
const EVENTS = 200
const KILLS = 6
/** So many steps run at a time, and each asks once at a time. */
const SIDE_BY_SIDE = 16
const TURNS = 3
const CANARY = "canary-5d1f0c9a7be24"

let nats: TestServer
let bus: Bus
let models: FakeServer
const nodes: NodeProcess[] = []

beforeAll(() => buildCli())
beforeEach(async () => {
  nats = await startTestServer()
  bus = await openBus({ url: nats.url, name: "tester" })
  await bus.ensureStreams()
  models = await startOpenAiServer()
  models.reply((seen) => answer(seen))
})
afterEach(async () => {
  for (const node of nodes.splice(0)) {
    if (node.child.exitCode === null && node.child.signalCode === null) await node.kill9()
  }
  await models.close()
  await bus.close()
  await nats.stop()
})

async function startNode(): Promise<NodeProcess> {
  const env = { LAB_URL: `${models.url}/v1`, LAB_API_KEY: CANARY }
  const node = await startNodeProcess([FIXTURE, "--nats", nats.url, "--no-http"], { env })
  nodes.push(node)
  return node
}

/** Which turn of which sum a request is. */
function turnOf({ messages }: SeenRequest): { readonly n: number; readonly turn: number } {
  const n = Number(messages[0]?.text.replace("sum ", ""))
  return { n, turn: messages.filter(({ role }) => role === "assistant").length }
}

/** Two rounds of tools, then what they came to. */
function answer(seen: SeenRequest): FakeReply {
  const { n, turn } = turnOf(seen)
  const delayMs = 5 + ((n * 7 + turn * 13) % 40)
  if (turn < TURNS - 1) {
    return { delayMs, toolCalls: [{ id: `c${turn}`, name: "double", arguments: { n: n + turn } }] }
  }
  const results = seen.messages.filter(({ role }) => role === "tool").map(({ text }) => text)
  return { delayMs, text: results.join(" ") }
}

const resultOf = (n: number): string => `${n * 2} ${(n + 1) * 2}`

/** When each answer of a model was written to a journal, by sum and turn. */
async function journaled(): Promise<Map<string, number>> {
  const at = new Map<string, number>()
  const read = { stream: bus.names.stepsOf("any"), filter: `${bus.names.mesh}.step.worker.>`, from: { seq: 1 } }
  const turns = new Map<string, number>()
  for await (const message of readHistory(bus.link, read)) {
    const record = JSON.parse(Buffer.from(message.data).toString()) as { kind: string; call: string; answer: unknown }
    if (record.kind !== "answer" || record.call !== "llm") continue
    const turn = turns.get(message.subject) ?? 0
    turns.set(message.subject, turn + 1)
    at.set(`${message.subject.split(".").at(-1)} ${turn}`, message.time.getTime())
  }
  return at
}

test("nodes that are killed again and again: no answer that was journaled is paid twice, and every result is there once", async () => {
  await startNode()
  for (let n = 0; n < EVENTS; n++) await bus.publish(Sum({ n }, { id: `sum-${n}` }), { producer: "cli" })
  for (let kill = 1; kill <= KILLS; kill++) {
    const share = (EVENTS * TURNS * kill) / (KILLS + 2)
    await until(`${share} calls`, () => models.calls.length >= share, 60_000)
    await delay(Math.random() * 50) // anywhere in the work
    await nodes.pop()?.kill9()
    await startNode()
  }
  const worked = await take(bus, Worked.type, EVENTS, 90_000)
  const results = worked.map(({ data }) => data as { n: number; text: string })
  expect(results.toSorted((a, b) => a.n - b.n)).toEqual(
    Array.from({ length: EVENTS }, (_, n) => ({ n, text: resultOf(n) })),
  )
  expect(new Set(worked.map(({ id }) => id)).size).toBe(EVENTS)

  const journal = await journaled()
  expect(journal.size).toBe(EVENTS * TURNS)
  const asked = new Map<string, number>()
  for (const [index, { atMs }] of models.calls.entries()) {
    const { n, turn } = turnOf(models.seen[index] as SeenRequest)
    const call = `sum-${n} ${turn}`
    asked.set(call, (asked.get(call) ?? 0) + 1)
    expect(atMs, `${call} was asked after its answer was journaled`).toBeLessThanOrEqual((journal.get(call) ?? 0) + 5)
  }
  const twice = [...asked.values()].reduce((sum, times) => sum + times - 1, 0)
  expect(Math.max(...asked.values()), "a call in flight is asked again at most once a kill").toBeLessThanOrEqual(
    KILLS + 1,
  )
  expect(twice, "at most what was in flight at the kills").toBeLessThanOrEqual(KILLS * SIDE_BY_SIDE)
}, 180_000)

test("an agent in a worker thinks as one in the node does", async () => {
  await startNode()
  for (let n = 0; n < 4; n++)
    await bus.publish({ type: "lab.isolated", key: `key-${n}`, data: { n } }, { producer: "cli" })
  const worked = await take(bus, Worked.type, 4, 30_000)
  const results = worked.map(({ data }) => data as { n: number; text: string })
  expect(results.toSorted((a, b) => a.n - b.n)).toEqual(Array.from({ length: 4 }, (_, n) => ({ n, text: resultOf(n) })))
  expect(models.calls.length).toBe(4 * TURNS)
})

test("a worker that is killed while models are asked: their answers are waited for, and its end is no word to a model", async () => {
  models.reply(({ messages }) => {
    const [asked] = messages
    if (asked?.text === "slow") return { delayMs: 1_500, text: "slowly" }
    const told = messages.filter(({ role }) => role === "tool").map(({ text }) => text)
    if (told.length > 0) return { text: told[0] ?? "" }
    return { toolCalls: ["trap", "reveal"].map((name) => ({ id: name, name, arguments: {} })) }
  })
  await startNode()
  await bus.publish({ type: "lab.shaky", key: "k", data: { n: 1 } }, { producer: "cli" })
  const [worked] = await take(bus, Worked.type, 1, 30_000)
  expect(worked?.data).toEqual({ n: 1, text: "slowly alive" })
  expect(models.seen.map(({ messages }) => messages[0]?.text).toSorted()).toEqual(["look", "look", "slow"])
  const shown = models.seen.at(-1)?.messages.find(({ role, text }) => role === "tool" && text !== "alive")?.text ?? ""
  expect(shown).toMatch(/^\S+ x+/)
  expect(shown).toContain("bytes cut here; the whole is artifact")
  expect(JSON.stringify(models.seen)).not.toContain(CANARY)
})
