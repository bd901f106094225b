import { setTimeout as delay } from "node:timers/promises"
import { afterEach, describe, expect, test } from "vitest"
import { z } from "zod"
import { type AgentDefinition, defineAgent } from "../src/agents/define-agent.js"
import { durableName } from "../src/agents/host.js"
import { defineTool } from "../src/agents/tools/define-tool.js"
import { removeDurable } from "../src/bus/consumers.js"
import { defineEvent } from "../src/bus/define-event.js"
import { setLimits } from "../src/node/guards.js"
import { buildCli, jsonOf, murmurAt } from "./cli/support/cli.js"
import { readAll } from "./support/checker.js"
import type { FakeReply, Fault, SeenRequest } from "./support/llm/fake-protocol.js"
import { journalsOf, type Lab, startLab } from "./support/llm/lab.js"
import { take, until } from "./support/mesh.js"

const Asked = defineEvent("lab.asked", z.object({ n: z.number() }), { key: (d) => `key-${d.n}` })
const Answered = defineEvent("lab.answered", z.object({ n: z.number(), text: z.string() }), {
  key: (d) => `key-${d.n}`,
})

let lab: Lab
afterEach(() => lab?.stop())

const publish = (n: number, id = `asked-${n}`) => lab.bus.publish(Asked({ n }, { id }), { producer: "cli" })
const ask = (n: number): string => `question ${n}`
const numberOf = ({ messages }: SeenRequest): number => Number(messages[0]?.text.split(" ")[1])

/** Asks once, and tells what it heard. */
const asker = (more: object = {}): AgentDefinition =>
  defineAgent("asker", {
    on: [Asked],
    emits: [Answered],
    concurrency: 16,
    retry: { backoffMs: 5, backoffMsMax: 20 },
    async handle({ data: { n } }, ctx) {
      // the attempt stands in the request, and not in what makes it the same call
      const { text } = await ctx.llm.text(ask(n), { seed: ctx.attempt })
      ctx.emit(Answered({ n, text }))
    },
    ...more,
  })

/** Numbers from 0 to 1, the same in each run. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

test("an answer that takes longer than the ack wait is waited for: one execution, and other keys go on meanwhile", async () => {
  const Slowly = defineEvent("lab.slowly", z.object({ n: z.number() }), { key: (d) => `key-${d.n}` })
  const ACK_WAIT_MS = 12_000
  const REPLY_MS = 14_000
  const slow = (name: string, ordering: "key" | "none") => {
    const executions = new Map<number, number>()
    const agent = defineAgent(name, {
      on: [Slowly],
      emits: [Answered],
      concurrency: 4,
      ordering,
      async handle({ data: { n } }, ctx) {
        executions.set(n, (executions.get(n) ?? 0) + 1)
        const { text } = await ctx.llm.text(`${name} ${n}`)
        ctx.emit(Answered({ n, text }))
      },
    })
    return { agent, executions }
  }
  const keyed = slow("keyed", "key")
  const shared = slow("shared", "none") // its ack wait is 10 s
  lab = await startLab([keyed.agent, shared.agent])
  const durable = durableName("keyed", 1, 0)
  // one that heartbeats as it does, and would have to wait half a minute, waits less
  await lab.bus.link.manager.consumers.update(lab.bus.names.events, durable, { ack_wait: ACK_WAIT_MS * 1e6 })
  lab.server.reply((_, { index }) => ({ text: "done", delayMs: index < 2 ? REPLY_MS : 5 }))
  const began = Date.now()
  const send = (n: number) => lab.bus.publish(Slowly({ n }), { producer: "cli" })
  await send(0)
  await until("both ask", () => lab.server.calls.length === 2)
  for (let n = 0; n <= 5; n++) await send(n)
  await take(lab.bus, Answered.type, 11) // one waits for its key
  expect(Date.now() - began, "the others did not wait").toBeLessThan(REPLY_MS / 2)
  await take(lab.bus, Answered.type, 14, 3 * REPLY_MS)
  expect(Date.now() - began).toBeGreaterThan(REPLY_MS)
  for (const { executions } of [keyed, shared]) expect([...executions.values()]).toEqual([2, 1, 1, 1, 1, 1])
  expect(lab.server.calls).toHaveLength(14)
  expect(lab.mesh.node.hosts.map(({ stats }) => stats.retries)).toEqual([0, 0])
}, 60_000)

describe("a model that hangs", () => {
  const short = { timeoutMs: 400, idleTimeoutMs: 150, retry: { tries: 2, backoffMs: 5 } }

  test.each([
    ["that says nothing", { fault: "hang" }, "LLM_TIMEOUT"],
    ["that stops in the middle", { fault: "stall", text: "half of it" }, "LLM_IDLE"],
    ["that comes a byte a second", { fault: "trickle", text: "slow" }, "LLM_IDLE"],
  ] as const)("an answer %s is given up, asked for again, and then a dead letter", async (_, reply, code) => {
    lab = await startLab([asker({ retry: { attempts: 2, backoffMs: 5 } })], short)
    lab.server.reply(reply)
    await publish(1)
    await until("it is given up", async () => (await lab.letters()).length === 1)
    const [letter] = await lab.letters()
    expect(letter).toMatchObject({ reason: "failed", error: { code }, attempts: [{ code }, { code }] })
    expect(lab.server.calls, "two tries in each of two attempts").toHaveLength(4)
    await until("the connections are closed", () => lab.server.calls.every(({ brokenOff }) => brokenOff))
  })

  test("pieces that keep coming are given up when the whole takes too long; a stream that stops, at once", async () => {
    const streamer = asker({
      async handle({ data: { n } }: { data: { n: number } }, ctx: Parameters<typeof handleOf>[1]) {
        const { text } = await ctx.llm.stream(ask(n)).answer
        ctx.emit(Answered({ n, text }))
      },
      retry: { attempts: 1 },
    })
    lab = await startLab([streamer], { ...short, retry: { tries: 1 } })
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

declare function handleOf(event: never, ctx: import("../src/agents/context.js").StepContext): void

test("429 twenty times: one request a Retry-After for all steps of both nodes, and no attempt is burnt", async () => {
  const REFUSALS = 20
  const RETRY_AFTER_MS = 400
  const STEPS = 8
  const agent = asker({ ordering: "none", concurrency: 3 })
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
  const hosts = [...lab.mesh.node.hosts, ...other.hosts]
  expect(hosts.map(({ stats }) => [stats.retries, stats.failures])).toEqual([
    [0, 0],
    [0, 0],
  ])
  expect(Math.min(...hosts.map(({ stats }) => stats.steps)), "both nodes have worked").toBeGreaterThan(0)
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
  const done = async (): Promise<number> => (await lab.letters()).length + (lab.mesh.node.hosts[0]?.stats.steps ?? 0)
  await until("all are decided", async () => (await done()) >= EVENTS, 30_000)
  const dead = await lab.letters()
  expect(dead.map(({ error }) => error.code)).toEqual([]) // 99.9 % of 200 are all of them
  const answered = await take(lab.bus, Answered.type, EVENTS)
  expect(answered.every(({ data }) => (data as { text: string }).text === `answer ${(data as { n: number }).n}`)).toBe(
    true,
  )
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

describe("garbage", () => {
  const executed: unknown[] = []
  const Strict = z.strictObject({ path: z.string() })
  const erase = defineTool({
    name: "erase",
    description: "Erases a file",
    input: Strict,
    effect: "idempotent",
    run: (input) => {
      executed.push(input)
      return "erased"
    },
  })
  const Verdict = z.object({ verdict: z.enum(["good", "bad"]) })
  const judge = (more: object = {}) =>
    asker({
      tools: [erase],
      retry: { attempts: 2, backoffMs: 5 },
      async handle({ data: { n } }: { data: { n: number } }, ctx: Parameters<typeof handleOf>[1]) {
        const { object } = await ctx.llm.object(Verdict, ask(n), { tools: [erase] })
        ctx.emit(Answered({ n, text: object.verdict }))
      },
      ...more,
    })
  const call = (name: string, given: Readonly<Record<string, unknown>> | string): FakeReply => ({
    toolCalls: [{ name, arguments: given }],
  })

  test.each<[string, FakeReply, { code: string; reason: string; requests: number }]>([
    ["JSON that is cut", { text: '{"verdict": "go' }, { code: "LLM_OBJECT", reason: "terminal", requests: 3 }],
    ["nothing at all", { text: "" }, { code: "LLM_OBJECT", reason: "terminal", requests: 3 }],
    ["another object", { text: '{"verdict":"ugly"}' }, { code: "LLM_OBJECT", reason: "terminal", requests: 3 }],
    [
      "cut off for want of tokens",
      { text: '{"verdict":', finish: "length" },
      { code: "LLM_OBJECT", reason: "terminal", requests: 3 },
    ],
    ["a tool that is not there", call("format_disk", {}), { code: "LLM_LOOP", reason: "terminal", requests: 3 }],
    [
      "arguments that are not in the schema",
      call("erase", { path: "/tmp/x", force: true }),
      { code: "LLM_LOOP", reason: "terminal", requests: 3 },
    ],
    ["arguments of another type", call("erase", { path: 7 }), { code: "LLM_LOOP", reason: "terminal", requests: 3 }],
    [
      "arguments that are no JSON",
      call("erase", '{"path": "/tm'),
      { code: "LLM_LOOP", reason: "terminal", requests: 3 },
    ],
    [
      "two megabytes",
      { text: `{"verdict":"${"x".repeat(2 * 2 ** 20)}"}` },
      { code: "LLM_REPLY_TOO_LARGE", reason: "terminal", requests: 1 },
    ],
    [
      "a tool call of two megabytes",
      call("erase", { path: "x".repeat(2 * 2 ** 20) }),
      { code: "LLM_REPLY_TOO_LARGE", reason: "terminal", requests: 1 },
    ],
    [
      "a body that is cut",
      { text: '{"verdict":"good"}', fault: "cut" },
      { code: "LLM_REPLY", reason: "failed", requests: 4 },
    ],
    ["an empty body", { fault: "empty" }, { code: "LLM_REPLY", reason: "failed", requests: 4 }],
    ["a page for people", { fault: "html" }, { code: "LLM_REPLY", reason: "failed", requests: 4 }],
  ])(
    "%s: nothing is done, and a typed failure is in the dead letters",
    async (_, reply, { code, reason, requests }) => {
      executed.length = 0
      lab = await startLab([judge()], { retry: { tries: 2, backoffMs: 5 } })
      lab.server.reply(reply)
      await publish(1)
      await until("it is given up", async () => (await lab.letters()).length === 1)
      const [letter] = await lab.letters()
      expect(letter).toMatchObject({ reason, error: { code } })
      expect(letter?.error.message.length).toBeLessThan(2_000)
      expect(lab.server.calls).toHaveLength(requests)
      expect(executed).toEqual([])
      expect(await readAll(lab.bus, lab.bus.names.events, lab.bus.names.storedFilter(Answered.type))).toEqual([])
    },
  )

  test("that is mended when it is told: two repairs are enough, and the tool runs with what fits", async () => {
    executed.length = 0
    lab = await startLab([judge()])
    lab.server.reply(
      call("erase", { path: "/tmp/x", force: true }),
      call("erase", { path: "/tmp/x" }),
      { text: "certainly!" },
      { text: '{"verdict":' },
      { text: '```json\n{"verdict":"good"}\n```' },
    )
    await publish(1)
    const [answered] = await take(lab.bus, Answered.type, 1)
    expect(answered?.data).toEqual({ n: 1, text: "good" })
    expect(executed).toEqual([{ path: "/tmp/x" }])
    expect(lab.server.calls).toHaveLength(5)
  })
})

describe("a model that never stops calling tools", () => {
  let runs = 0
  const look = defineTool({
    name: "look",
    description: "Looks",
    input: z.object({ at: z.number() }),
    effect: "read",
    run: ({ at }) => {
      runs += 1
      return `nothing at ${at}`
    },
  })
  const looker = asker({
    tools: [look],
    async handle({ data: { n } }: { data: { n: number } }, ctx: Parameters<typeof handleOf>[1]) {
      const { text } = await ctx.llm.text(ask(n), { tools: [look] })
      ctx.emit(Answered({ n, text }))
    },
  })

  test("is stopped after 25 turns when each call is another one", async () => {
    runs = 0
    lab = await startLab([looker])
    lab.server.reply((_, { index }) => ({ toolCalls: [{ name: "look", arguments: { at: index } }] }))
    await publish(1)
    await until("it is given up", async () => (await lab.letters()).length === 1)
    expect(await lab.letters()).toMatchObject([{ reason: "terminal", error: { code: "LLM_TURNS" }, attempts: [{}] }])
    expect([lab.server.calls.length, runs]).toEqual([25, 24])
  })

  test("is stopped the third time that it makes the same call", async () => {
    runs = 0
    lab = await startLab([looker])
    lab.server.reply({ toolCalls: [{ name: "look", arguments: { at: 1 } }] })
    await publish(1)
    await until("it is given up", async () => (await lab.letters()).length === 1)
    expect(await lab.letters()).toMatchObject([{ reason: "terminal", error: { code: "LLM_LOOP" }, attempts: [{}] }])
    expect([lab.server.calls.length, runs]).toEqual([3, 2])
  })
})

describe("a step that runs again with the models away", () => {
  const EVENTS = 12
  const outputs: string[] = []
  const double = defineTool({
    name: "double",
    description: "Doubles",
    input: z.object({ n: z.number() }),
    effect: "read",
    run: ({ n }) => n * 2 + Math.random(), // is not asked twice
  })
  const thinker = (question: string) =>
    asker({
      from: "start",
      tools: [double],
      async handle({ data: { n } }: { data: { n: number } }, ctx: Parameters<typeof handleOf>[1]) {
        const [first, { object }] = await Promise.all([
          ctx.llm.text(`${question} ${n}`, { tools: [double] }),
          ctx.llm.object(z.object({ score: z.number() }), `score ${n}`),
        ])
        const { vectors } = await ctx.llm.embed([first.text])
        const output = Answered({ n, text: JSON.stringify([first.text, object.score, vectors, ctx.llm !== undefined]) })
        outputs.push(JSON.stringify(output))
        ctx.emit(output)
      },
    })

  /** All events come once more, to an agent that may be another one now. */
  async function again(agent: AgentDefinition): Promise<void> {
    await lab.mesh.node.stop(2_000)
    await removeDurable(lab.bus.link, lab.bus.names.events, durableName("asker", 1, 0))
    outputs.length = 0
    await lab.mesh.addNode({ agents: [agent], models: lab.models })
  }

  async function ranOnce(): Promise<string[]> {
    lab = await startLab([thinker("question")])
    const random = seeded(44)
    lab.server.reply((seen) => {
      if (seen.kind === "embed") return { vectors: [[random(), random()]] }
      if (seen.schema !== undefined) return { text: JSON.stringify({ score: random() }), delayMs: random() * 20 }
      const result = seen.messages.find(({ role }) => role === "tool")
      if (result === undefined) return { toolCalls: [{ name: "double", arguments: { n: numberOf(seen) } }] }
      return { text: `it is ${result.text}, ${random()}` }
    })
    for (let n = 0; n < EVENTS; n++) await publish(n)
    await take(lab.bus, Answered.type, EVENTS)
    return outputs.toSorted()
  }

  test("is given what it was given, and comes to the same, byte for byte", async () => {
    const before = await ranOnce()
    const calls = lab.server.calls.length
    await lab.server.close()
    await again(thinker("question"))
    await until("all have run again", () => outputs.length === EVENTS)
    expect(outputs.toSorted()).toEqual(before)
    expect(lab.server.calls).toHaveLength(calls)
    expect(await lab.letters()).toEqual([])
    await delay(100) // what should not be stored would be by now
    const stored = await readAll(lab.bus, lab.bus.names.events, lab.bus.names.storedFilter(Answered.type))
    expect(stored).toHaveLength(EVENTS)
  })

  test("with another prompt is stopped, and told which call is not the same", async () => {
    await ranOnce()
    const calls = lab.server.calls.length
    await again(thinker("riddle"))
    await until("all are given up", async () => (await lab.letters()).length === EVENTS)
    for (const { reason, error } of await lab.letters()) {
      expect({ reason, code: error.code }).toEqual({ reason: "terminal", code: "NONDETERMINISM" })
      expect(error.message).toMatch(/call \d+ was "llm" and is now "llm" with other input/)
    }
    expect(outputs).toEqual([])
    expect(lab.server.calls, "nobody is asked").toHaveLength(calls)
  })
})

test("a model that uses a million tokens a call: the next call is refused, its event parked, and goes on when it is granted more", async () => {
  await buildCli()
  const twice = asker({
    async handle({ data: { n } }: { data: { n: number } }, ctx: Parameters<typeof handleOf>[1]) {
      const first = await ctx.llm.text(`question ${n}`)
      const second = await ctx.llm.text(`question ${n} again`)
      ctx.emit(Answered({ n, text: `${first.text} ${second.text}` }))
    },
  })
  lab = await startLab([twice])
  await setLimits(lab.bus, { tokens: 1_000_000 })
  lab.server.reply((_, { index }) => ({
    text: `answer ${index}`,
    usage: { inputTokens: 990_000, outputTokens: 10_000 },
  }))
  const { id: root } = await publish(1)
  await until("it is parked", async () => (await lab.letters()).length === 1)
  const [letter] = await lab.letters()
  expect(letter).toMatchObject({
    reason: "budget",
    error: { code: "BUDGET_TOKENS" },
    guard: { root, limit: 1_000_000 },
  })
  expect(lab.server.calls).toHaveLength(1)
  const resumed = await murmurAt(lab.mesh.server.url)(
    "guard",
    "resume",
    root,
    "--tokens",
    "1500000",
    "--json",
    "--mesh",
    "test",
  )
  expect(jsonOf(resumed)).toMatchObject({ granted: { tokens: 1_500_000 }, retried: [{ agent: "asker" }], failed: [] })
  const [answered] = await take(lab.bus, Answered.type, 1)
  expect(answered?.data).toEqual({ n: 1, text: "answer 0 answer 1" })
  expect(lab.server.calls, "the first answer is in the journal").toHaveLength(2)
  expect(await lab.letters()).toEqual([])
}, 60_000)
