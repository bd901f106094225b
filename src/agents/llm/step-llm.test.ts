import { describe, expect, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"
import { RetryableError, TerminalError } from "../../errors.js"
import type { CompletionRequest } from "../../gateways/completion.js"
import { system, user } from "../../gateways/messages/constructors.js"
import type { StepContext } from "../context.js"
import { defineAgent } from "../define-agent.js"
import { askTool, delegateTool, emitTool } from "../minds/step-tools.js"
import { testAgent } from "../test-agent.js"
import { defineTool } from "../tools/define-tool.js"
import type { AnyTool } from "../tools/tool.js"
import type { StepTool } from "./step-tool.js"
import { type Says, TestGateway } from "./test-gateway.js"

const Asked = defineEvent("q.asked", z.object({ text: z.string() }), { key: () => "k" })
const Said = defineEvent("a.said", z.object({ value: z.unknown() }))

const modelsOf = (gateway: TestGateway) => ({
  gateways: [gateway],
  default: "test/m",
  models: { "test/m": { price: { inputUsd: 1, outputUsd: 2 } } },
})

type Handle = (ctx: StepContext) => Promise<unknown>

/** An agent whose handler says what came of asking. */
function bench(
  answer: (request: CompletionRequest, times: number) => Says | Promise<Says>,
  handle: Handle,
  { tools = [], replay }: { tools?: readonly AnyTool[]; replay?: "always" } = {},
) {
  const gateway = new TestGateway(answer)
  const agent = defineAgent("thinker", {
    on: [Asked],
    emits: [Said],
    tools,
    retry: { attempts: 2, backoffMs: 0 },
    async handle(_, ctx) {
      ctx.emit(Said({ value: (await handle(ctx)) ?? null }))
    },
  })
  const models = modelsOf(gateway)
  const run = async () => testAgent(agent, { models, ...(replay && { replay }) }).when(Asked({ text: "hello" }))
  return { gateway, run }
}

/** What the models were told after the first turn, as texts. */
const toldTools = ({ asked }: TestGateway): string[] =>
  (asked.at(-1)?.messages ?? []).flatMap((message) => (message.role === "tool" ? [message.content] : []))

const double = (calls: number[], does?: (n: number) => unknown): AnyTool =>
  defineTool({
    name: "double",
    description: "Doubles a number",
    input: z.object({ n: z.number() }),
    effect: "read",
    run: async ({ n }) => {
      calls.push(n)
      return does === undefined ? n * 2 : does(n)
    },
  })

describe("a text", () => {
  test("is asked for once, however often the step runs", async () => {
    const handle: Handle = async (ctx) => {
      const first = await ctx.llm.text([system("be brief"), user("hi")])
      const second = await ctx.llm.text(first.text)
      return [first.text, second.text, second.usage, second.model]
    }
    const { gateway, run } = bench((_, times) => ({ text: `answer ${times}` }), handle, { replay: "always" })
    const { emitted } = await run()
    expect(emitted[0]?.data).toEqual({
      value: ["answer 1", "answer 2", { inputTokens: 10, outputTokens: 5 }, "test/m"],
    })
    expect(gateway.asked.map(({ messages }) => messages.length)).toEqual([2, 1])
  })

  test("that another prompt would get is no answer to this one", async () => {
    let prompt = 0
    const { run } = bench(
      () => ({ text: "x" }),
      async (ctx) => ctx.llm.text(`prompt ${prompt++}`),
      {
        replay: "always",
      },
    )
    expect((await run()).dead[0]).toMatchObject({ error: { code: "NONDETERMINISM" } })
  })

  test("of a node without models is refused, and says what to do", async () => {
    const { run } = bench(
      () => ({}),
      (ctx) => ctx.llm.text("x", { model: "nobody/m" }),
    )
    expect((await run()).dead[0]?.error).toMatchObject({ code: "LLM_GATEWAY" })
  })

  test("with an unknown option is refused before anybody is asked", async () => {
    const { gateway, run } = bench(
      () => ({}),
      (ctx) => ctx.llm.text("x", { temprature: 1 } as never),
    )
    expect((await run()).dead[0]?.error).toMatchObject({ code: "LLM_OPTION" })
    expect((await run()).dead[0]?.error.message).toContain("temprature")
    expect(gateway.asked).toEqual([])
  })
})

describe("a model that calls tools", () => {
  test("is told the results, and each call is made once", async () => {
    const calls: number[] = []
    const tool = double(calls)
    const script: Says[] = [
      {
        calls: [
          { name: "double", arguments: { n: 1 } },
          { name: "double", arguments: { n: 2 } },
        ],
      },
      { calls: [{ name: "double", arguments: { n: 4 } }] },
      { text: "done" },
    ]
    const { gateway, run } = bench(
      (_, times) => script[times - 1] ?? {},
      async (ctx) => {
        const { text, turns, usage } = await ctx.llm.text("go", { tools: [tool] })
        return [text, turns, usage.inputTokens]
      },
      { tools: [tool], replay: "always" },
    )
    expect((await run()).emitted[0]?.data).toEqual({ value: ["done", 3, 30] })
    expect(calls).toEqual([1, 2, 4])
    expect(toldTools(gateway)).toEqual(["2", "4", "8"])
    expect(gateway.asked.length).toBe(3)
  })

  test("is told what went wrong: the error is the same when the step runs again, and its neighbours are not touched", async () => {
    const calls: number[] = []
    const tool = double(calls, (n) => {
      if (n === 1 && calls.filter((each) => each === 1).length === 1) throw new Error("out of numbers")
      return n * 2
    })
    const asks = [
      { name: "double", arguments: { n: 1 } },
      { name: "double", arguments: { n: 2 } },
      { name: "double", arguments: { n: "many" } },
      { name: "halve", arguments: {} },
      { name: "double", malformed: '{"n":' },
    ]
    const { gateway, run } = bench(
      (_, times) => (times === 1 ? { calls: asks } : { text: "done" }),
      (ctx) => ctx.llm.text("go", { tools: [tool] }),
      { tools: [tool], replay: "always" },
    )
    expect((await run()).dead).toEqual([])
    const [failed, ok, wrong, unknown, malformed] = toldTools(gateway)
    expect([failed, ok]).toEqual(["Error: out of numbers", "4"])
    expect(wrong).toContain("its input does not fit")
    expect(unknown).toBe('There is no tool "halve". There are: double')
    expect(malformed).toBe('The arguments of "double" are no JSON object: {"n":')
    expect(calls).toEqual([1, 2])
  })

  test.each([
    ["the same call", () => ({ n: 1 }), "LLM_LOOP", 2],
    ["another call each time", (times: number) => ({ n: times }), "LLM_TURNS", 24],
  ])("for ever, %s, is stopped", async (_, given, code, made) => {
    const calls: number[] = []
    const tool = double(calls)
    const { run } = bench(
      (_, times) => ({ calls: [{ name: "double", arguments: given(times) }] }),
      (ctx) => ctx.llm.text("go", { tools: [tool] }),
      { tools: [tool] },
    )
    expect((await run()).dead[0]).toMatchObject({ reason: "terminal", error: { code } })
    expect(calls.length).toBe(made)
  })

  test("runs them side by side, so many at a time", async () => {
    let [running, most] = [0, 0]
    const tool = double([], async (n) => {
      running += 1
      most = Math.max(most, running)
      await new Promise((resolve) => setTimeout(resolve, 5))
      running -= 1
      return n
    })
    const asks = Array.from({ length: 6 }, (_, n) => ({ name: "double", arguments: { n } }))
    const { gateway, run } = bench(
      (_, times) => (times === 1 ? { calls: asks } : { text: "done" }),
      (ctx) => ctx.llm.text("go", { tools: [tool], toolConcurrency: 3 }),
      { tools: [tool] },
    )
    await run()
    expect([most, toldTools(gateway)]).toEqual([3, ["0", "1", "2", "3", "4", "5"]])
  })

  test("that change the world: an error that leaves open what was done is no word to the model, the same call is made again", async () => {
    const keys: string[] = []
    const pay = defineTool({
      name: "pay",
      description: "Pays",
      input: z.object({}),
      effect: "idempotent",
      run: async (_, { idempotencyKey }) => {
        keys.push(idempotencyKey)
        if (keys.length === 1) throw new RetryableError("no answer", { code: "BANK" })
        if (keys.length === 3) throw new TerminalError("no money", { code: "BANK" })
        return "paid"
      },
    })
    const { gateway, run } = bench(
      (_, times) => (times <= 2 ? { calls: [{ name: "pay", arguments: {} }] } : { text: "done" }),
      (ctx) => ctx.llm.text("go", { tools: [pay] }),
      { tools: [pay] },
    )
    expect((await run()).attempts).toBe(2)
    expect(new Set(keys.slice(0, 2)).size).toBe(1)
    expect(toldTools(gateway)).toEqual(["paid", "Error: no money"])
  })

  test("of the step: it emits what the agent may emit, and is told what it may not", async () => {
    const emit: StepTool = {
      kind: "step",
      name: "emit",
      description: "Emits",
      input: z.object({ value: z.unknown() }),
      run: async ({ value }, ctx) => {
        ctx.emit(value === "wrong" ? { ...Said({ value }), type: "other" } : Said({ value }))
      },
    }
    const asks = ["one", "wrong", "two"].map((value) => ({ name: "emit", arguments: { value } }))
    const { gateway, run } = bench(
      (_, times) => (times === 1 ? { calls: asks } : { text: "done" }),
      async (ctx) => (await ctx.llm.text("go", { tools: [emit] })).text,
      { replay: "always" },
    )
    const { emitted } = await run()
    expect(emitted.map(({ data }) => data)).toEqual([{ value: "one" }, { value: "two" }, { value: "done" }])
    expect(toldTools(gateway)[1]).toContain('cannot emit "other"')
  })
})

describe("an object", () => {
  const Wanted = z.object({ n: z.number() })

  test("that does not fit is told so, and fits then", async () => {
    const answers = ["no JSON", '```json\n{"n":"one"}\n```', '{"n":1}']
    const { gateway, run } = bench(
      (_, times) => ({ text: answers[times - 1] ?? "" }),
      async (ctx) => {
        const { object, turns } = await ctx.llm.object(Wanted, "a number")
        return [object, turns]
      },
      { replay: "always" },
    )
    expect((await run()).emitted[0]?.data).toEqual({ value: [{ n: 1 }, 3] })
    const told = gateway.asked
      .at(-1)
      ?.messages.flatMap(({ role, content }) => (role === "user" ? [String(content)] : []))
    expect(told?.[1]).toContain("It is no JSON.")
    expect(told?.[2]).toContain("- n: ")
  })

  test("that never fits is an error after two repairs", async () => {
    const { gateway, run } = bench(
      () => ({ text: "{}" }),
      (ctx) => ctx.llm.object(Wanted, "a number"),
    )
    expect((await run()).dead[0]).toMatchObject({ reason: "terminal", error: { code: "LLM_OBJECT" } })
    expect(gateway.asked.length).toBe(3)
  })

  test("may be a list: models answer with an object around it", async () => {
    const { run } = bench(
      () => ({ text: '{"value":[1,2]}' }),
      async (ctx) => (await ctx.llm.object(z.array(z.number()), "numbers")).object,
    )
    expect((await run()).emitted[0]?.data).toEqual({ value: [1, 2] })
  })
})

describe("a stream", () => {
  test("comes in pieces, and in one piece when the step was given it before", async () => {
    const pieces: string[][] = []
    const handle: Handle = async (ctx) => {
      const stream = ctx.llm.stream("tell")
      const seen: string[] = []
      for await (const piece of stream) if (piece.type === "text") seen.push(piece.text)
      pieces.push(seen)
      await ctx.run("after", () => 1)
      return (await stream.answer).text
    }
    const { run } = bench(() => ({ text: "once upon a time" }), handle, { replay: "always" })
    expect((await run()).emitted[0]?.data).toEqual({ value: "once upon a time" })
    expect(pieces.at(-1)).toEqual(["once upon a time"])
  })

  test("tells its reader what went wrong", async () => {
    const { run } = bench(
      () => {
        throw new TerminalError("no", { code: "LLM_KEY" })
      },
      async (ctx) => {
        for await (const _ of ctx.llm.stream("tell"));
      },
    )
    expect((await run()).dead[0]?.error).toMatchObject({ code: "LLM_KEY" })
  })
})

test("branches side by side replay the same, whichever is faster", async () => {
  const calls: number[] = []
  const tool = double(calls)
  const answer = async ({ messages }: CompletionRequest): Promise<Says> => {
    const name = String(messages[0]?.content)
    const turn = messages.filter(({ role }) => role === "assistant").length
    if (Math.random() < 0.5) await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
    return turn < 2 ? { calls: [{ name: "double", arguments: { n: name.length * 10 + turn } }] } : { text: name }
  }
  const handle: Handle = async (ctx) => {
    const names = ["a", "bb", "ccc"]
    const texts = await Promise.all(names.map((name) => ctx.llm.text(name, { tools: [tool] })))
    const more = await Promise.all(
      names.map(async (name) => {
        const branch = ctx.branch()
        await branch.run("first", () => name)
        const second = await branch.run("second", () => `${name}!`)
        branch.emit(Said({ value: second }))
        return branch
      }),
    )
    for (const branch of more) branch.end()
    return texts.map(({ text }) => text)
  }
  const { run } = bench(answer, handle, { tools: [tool], replay: "always" })
  const { emitted, dead } = await run()
  expect(dead).toEqual([])
  expect(emitted.map(({ data }) => (data as { value: unknown }).value)).toEqual([
    "a!",
    "bb!",
    "ccc!",
    ["a", "bb", "ccc"],
  ])
  expect(calls.sort((a, b) => a - b)).toEqual([10, 11, 20, 21, 30, 31])
})

describe("a run", () => {
  const types = (runs: readonly { readonly type: string }[]) => runs.map(({ type }) => type.replace("murmur.run.", ""))

  test("tells how it goes on", async () => {
    const tool = double([])
    const script: Says[] = [{ reasoning: "hm", calls: [{ name: "double", arguments: { n: 1 } }] }, { text: "done" }]
    const { run } = bench(
      (_, times) => script[times - 1] ?? {},
      (ctx) => ctx.llm.text("go", { tools: [tool] }),
      { tools: [tool] },
    )
    const { runs } = await run()
    expect(types(runs)).toEqual([
      "started",
      "reasoning-started",
      "reasoning-step",
      "reasoning-completed",
      "tool-call-started",
      "tool-call-completed",
      "content",
      "completed",
    ])
    expect(runs.at(-1)).toMatchObject({ key: "k", data: { agent: "thinker", usage: { inputTokens: 20 }, turns: 2 } })
  })

  test("is started where it asks a model first, whatever the step has done before", async () => {
    const gateway = new TestGateway(() => ({ text: "x" }))
    const agent = defineAgent("thinker", {
      on: [Asked],
      async handle(_, ctx) {
        await ctx.run("look", () => 1)
        await ctx.llm.text("one")
      },
    })
    const { runs } = await testAgent(agent, { models: modelsOf(gateway) }).when(Asked({ text: "x" }))
    expect(types(runs)).toEqual(["started", "content", "completed"])
  })

  test("that waits is paused, and goes on", async () => {
    const gateway = new TestGateway(() => ({ text: "x" }))
    const agent = defineAgent("thinker", {
      on: [Asked],
      async handle(_, ctx) {
        await ctx.llm.text("one")
        await ctx.ask("May I?", { default: "no", timeoutMs: 1_000 })
        await ctx.llm.text("two")
      },
    })
    const bench = testAgent(agent, { models: modelsOf(gateway) })
    expect(types((await bench.when(Asked({ text: "x" }))).runs)).toEqual(["started", "content", "paused"])
    expect(types((await bench.whenAnswered("yes")).runs)).toEqual(["continued", "content", "completed"])
    expect(gateway.asked.length).toBe(2)
  })
})

test("a handler's model may emit, ask and delegate: what the step itself can do", async () => {
  const Note = defineEvent("a.noted", z.object({ text: z.string() }))
  const helper = defineAgent("helper", { on: [], input: z.object({ what: z.string() }), handle: () => {} })
  const script: Says[] = [
    { calls: [{ name: "emit_a_noted", arguments: { text: "one" } }] },
    { calls: [{ name: "ask_person", arguments: { question: "May I?", default: "no" } }] },
    { calls: [{ name: "delegate_to_helper", arguments: { what: "count" } }] },
    { text: "done" },
  ]
  const gateway = new TestGateway((_, times) => script[times - 1] ?? {})
  const agent = defineAgent("thinker", {
    on: [Asked],
    emits: [Note],
    handle: async (_, ctx) => {
      await ctx.llm.text("go", { tools: [emitTool(Note), askTool, delegateTool(helper)] })
    },
  })
  const bench = testAgent(agent, { models: modelsOf(gateway), replay: "always" })
  expect((await bench.when(Asked({ text: "x" }))).waiting).toEqual(["May I?"])
  expect((await bench.whenAnswered("yes")).delegated).toHaveLength(1)
  const { emitted, dead } = await bench.whenReplied({ n: 3 })
  expect([emitted.map(({ type }) => type), dead]).toEqual([["a.noted"], []])
  expect(toldTools(gateway)).toEqual(["emitted", '{"answer":"yes"}', '{"n":3}'])
})
