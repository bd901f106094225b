import { afterEach, describe, expect, test } from "vitest"
import { durableName } from "../src/agents/host.js"
import { setLimits } from "../src/node/guards.js"
import { buildCli, jsonOf, murmurAt } from "./cli/support/cli.js"
import { Answered, Asked, type Asks, asker, askOnce, numberOf, seeded } from "./support/llm/asker.js"
import type { Fault } from "./support/llm/fake-protocol.js"
import { journalsOf, type Lab, startLab } from "./support/llm/lab.js"
import { take, until } from "./support/mesh.js"

let lab: Lab
afterEach(() => lab?.stop())

const publish = (n: number, id = `asked-${n}`) => lab.bus.publish(Asked({ n }, { id }), { producer: "cli" })

test("an answer that takes longer than the ack wait is waited for: one execution, and other keys go on meanwhile", async () => {
  const ACK_WAIT_MS = 12_000
  const REPLY_MS = 14_000
  const executions = new Map<string, number>()
  const counting: Asks = (n, ctx) => {
    executions.set(`${ctx.agent} ${n}`, (executions.get(`${ctx.agent} ${n}`) ?? 0) + 1)
    return askOnce(n, ctx)
  }
  const keyed = asker(counting, { name: "keyed" })
  const shared = asker(counting, { name: "shared", ordering: "none" }) // its ack wait is 10 s
  lab = await startLab([keyed, shared])
  // one that heartbeats as it does, and would have to wait half a minute, waits less
  const ack = { ack_wait: ACK_WAIT_MS * 1e6 }
  await lab.bus.link.manager.consumers.update(lab.bus.names.events, durableName("keyed", 1, 0), ack)
  lab.server.reply((_, { index }) => ({ text: "done", delayMs: index < 2 ? REPLY_MS : 5 }))
  const began = Date.now()
  await publish(0)
  await until("both ask", () => lab.server.calls.length === 2)
  await publish(0, "asked-0-again") // one of them waits for its key
  for (let n = 1; n <= 5; n++) await publish(n)
  await take(lab.bus, Answered.type, 11)
  expect(Date.now() - began, "the others did not wait").toBeLessThan(REPLY_MS / 2)
  await take(lab.bus, Answered.type, 14, 3 * REPLY_MS)
  expect(Date.now() - began).toBeGreaterThan(REPLY_MS)
  for (const name of ["keyed", "shared"]) {
    expect([0, 1, 2, 3, 4, 5].map((n) => executions.get(`${name} ${n}`))).toEqual([2, 1, 1, 1, 1, 1])
  }
  expect(lab.server.calls).toHaveLength(14)
  expect(lab.mesh.node.hosts.map(({ stats }) => stats.retries)).toEqual([0, 0])
}, 60_000)

describe("a model that hangs", () => {
  const short = { timeoutMs: 400, idleTimeoutMs: 150, retry: { tries: 2, backoffMs: 5 } }

  test.each([
    ["says nothing", { fault: "hang" }, "LLM_TIMEOUT", short],
    ["stops in the middle", { fault: "stall", text: "half of it" }, "LLM_IDLE", short],
    ["comes a byte a second", { fault: "trickle", text: "slow" }, "LLM_IDLE", short],
    ["comes too slowly as a whole", { fault: "trickle" }, "LLM_TIMEOUT", { ...short, idleTimeoutMs: 5_000 }],
  ] as const)(
    "an answer that %s is given up, asked for again, and then a dead letter",
    async (...[, reply, code, times]) => {
      lab = await startLab([asker(askOnce, { retry: { attempts: 2, backoffMs: 5 } })], times)
      lab.server.reply(reply)
      await publish(1)
      await until("it is given up", async () => (await lab.letters()).length === 1)
      expect(await lab.letters()).toMatchObject([{ reason: "failed", error: { code }, attempts: [{ code }, { code }] }])
      expect(lab.server.calls, "two tries in each of two attempts").toHaveLength(4)
      await until("the connections are closed", () => lab.server.calls.every(({ brokenOff }) => brokenOff))
    },
  )

  test("pieces that keep coming are given up when the whole takes too long; a stream that stops, at once", async () => {
    const streams: Asks = async (n, ctx) => (await ctx.llm.stream(`question ${n}`).answer).text
    lab = await startLab([asker(streams, { retry: { attempts: 1 } })], { ...short, retry: { tries: 1 } })
    lab.server.reply((seen) =>
      numberOf(seen) === 1
        ? { text: "word ".repeat(100), pieceDelayMs: 50 }
        : { text: "word ".repeat(20), fault: "stall" },
    )
    await publish(1)
    await publish(2)
    await until("both are given up", async () => (await lab.letters()).length === 2)
    const codes = Object.fromEntries((await lab.letters()).map(({ event, error }) => [event.id, error.code]))
    expect(codes).toEqual({ "asked-1": "LLM_TIMEOUT", "asked-2": "LLM_IDLE" })
  })

  test("and then answers: the step has its answer, in one attempt", async () => {
    lab = await startLab([asker()], { ...short, retry: { tries: 4, backoffMs: 5 } })
    lab.server.reply({ fault: "hang" }, { fault: "stall", text: "half" }, { fault: "trickle" }, { text: "here" })
    await publish(1)
    const [answered] = await take(lab.bus, Answered.type, 1)
    expect(answered?.data).toEqual({ n: 1, text: "here" })
    expect(lab.mesh.node.hosts[0]?.stats.retries).toBe(0)
  })
})

test("429 twenty times: one request a Retry-After for all steps of both nodes, and no attempt is burnt", async () => {
  const REFUSALS = 20
  const RETRY_AFTER_MS = 400
  const STEPS = 8
  const agent = asker(askOnce, { ordering: "none", concurrency: 3 })
  lab = await startLab([agent])
  const other = await lab.mesh.addNode({ agents: [agent], models: lab.models })
  const refused: number[] = []
  lab.server.reply((seen, { atMs }) => {
    if (refused.length >= REFUSALS) return { text: `answer ${numberOf(seen)}`, delayMs: 20 }
    refused.push(atMs)
    return { fault: { status: 429, headers: { "retry-after-ms": String(RETRY_AFTER_MS) } } }
  })
  for (let n = 0; n < STEPS; n++) await publish(n)
  const answered = await take(lab.bus, Answered.type, STEPS, 30_000)
  expect(new Set(answered.map(({ id }) => id)).size).toBe(STEPS)
  // those that were on their way when the first was refused cannot know it
  const later = refused.filter((atMs) => atMs - (refused[0] ?? 0) > RETRY_AFTER_MS / 2)
  expect(later.length).toBeGreaterThan(REFUSALS / 2)
  const gaps = later.slice(1).map((atMs, i) => atMs - (later[i] ?? 0))
  expect(Math.min(...gaps), `${gaps}`).toBeGreaterThanOrEqual(RETRY_AFTER_MS - 5)
  expect(lab.server.calls).toHaveLength(REFUSALS + STEPS)
  const stats = [...lab.mesh.node.hosts, ...other.hosts].map(({ stats: { steps, failures, retries } }) => ({
    ...{ steps, failed: failures + retries },
  }))
  expect(stats.map(({ failed }) => failed)).toEqual([0, 0])
  expect(Math.min(...stats.map(({ steps }) => steps)), "both nodes have worked").toBeGreaterThan(0)
  expect(lab.server.seen.map(({ options }) => options.seed)).toEqual(lab.server.calls.map(() => 1))
  expect(await lab.letters()).toEqual([])
}, 60_000)

test("a provider that fails half of the time: every event has its answer, once in the journal, by at most four tries a call", async () => {
  const EVENTS = 200
  const random = seeded(41)
  const faults: readonly Fault[] = [{ status: 500 }, { status: 502 }, "reset"]
  lab = await startLab([asker()], { retry: { backoffMs: 10 }, circuit: { openMs: 100 } })
  lab.server.reply((seen) =>
    random() < 0.5
      ? { fault: faults[Math.floor(random() * 3)] as Fault }
      : { text: `answer ${numberOf(seen)}`, delayMs: Math.floor(random() * 5) },
  )
  for (let n = 0; n < EVENTS; n++) await publish(n)
  const answered = await take(lab.bus, Answered.type, EVENTS, 40_000) // 99.9 % of 200 are all of them
  const texts = answered.map(({ data }) => data as { n: number; text: string })
  expect(texts.every(({ n, text }) => text === `answer ${n}`)).toBe(true)
  expect(await lab.letters()).toEqual([])
  const journals = await journalsOf(lab.bus, "asker")
  expect(journals.size).toBe(EVENTS)
  for (const records of journals.values()) expect(records.filter(({ kind }) => kind === "answer")).toHaveLength(1)
  const tries = new Map<string, number>()
  for (const seen of lab.server.seen) {
    const call = `${numberOf(seen)} in attempt ${seen.options.seed}`
    tries.set(call, (tries.get(call) ?? 0) + 1)
  }
  expect(Math.max(...tries.values())).toBeLessThanOrEqual(4)
  expect(lab.mesh.node.hosts[0]?.quarantined).toBe(false)
}, 60_000)

test("a provider that is away for a moment: its circuit opens, steps wait for it, and no agent is quarantined", async () => {
  lab = await startLab([asker()], { retry: { backoffMs: 10 }, circuit: { openMs: 700 } })
  let away = true
  lab.server.reply((seen) => (away ? { fault: { status: 503 } } : { text: `answer ${numberOf(seen)}` }))
  for (let n = 0; n < 12; n++) await publish(n)
  await until("it is asked no more", () => lab.server.calls.length >= 5)
  away = false
  await take(lab.bus, Answered.type, 12)
  const { stats, quarantined } = lab.mesh.node.hosts[0] ?? {}
  expect({ quarantined, failures: stats?.failures }).toEqual({ quarantined: false, failures: 0 })
})

test("a model that uses a million tokens a call: the next call is refused, its event parked, and goes on when it is granted more", async () => {
  await buildCli()
  const twice: Asks = async (n, ctx) => {
    const first = await ctx.llm.text(`question ${n}`)
    const second = await ctx.llm.text(`question ${n} again`)
    return `${first.text} ${second.text}`
  }
  lab = await startLab([asker(twice)])
  await setLimits(lab.bus, { tokens: 1_000_000 })
  lab.server.reply((_, { index }) => ({
    text: `answer ${index}`,
    usage: { inputTokens: 990_000, outputTokens: 10_000 },
  }))
  const { id: root } = await publish(1)
  await until("it is parked", async () => (await lab.letters()).length === 1)
  const guard = { root, limit: 1_000_000 }
  expect(await lab.letters()).toMatchObject([{ reason: "budget", error: { code: "BUDGET_TOKENS" }, guard }])
  expect(lab.server.calls).toHaveLength(1)
  const murmur = murmurAt(lab.mesh.server.url)
  const resumed = await murmur("guard", "resume", root, "--tokens", "1500000", "--json", "--mesh", "test")
  expect(jsonOf(resumed)).toMatchObject({ granted: { tokens: 1_500_000 }, retried: [{ agent: "asker" }], failed: [] })
  const [answered] = await take(lab.bus, Answered.type, 1)
  expect(answered?.data).toEqual({ n: 1, text: "answer 0 answer 1" })
  expect(lab.server.calls, "the first answer is in the journal").toHaveLength(2)
  expect(await lab.letters()).toEqual([])
}, 120_000)
