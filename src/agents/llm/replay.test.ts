import { setTimeout as delay } from "node:timers/promises"
import { describe, expect, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"
import { RetryableError, TerminalError } from "../../errors.js"
import type { CompletionRequest } from "../../gateways/completion.js"
import type { StepContext } from "../context.js"
import { defineAgent } from "../define-agent.js"
import { testAgent } from "../test-agent.js"
import { defineTool } from "../tools/define-tool.js"
import type { AnyTool } from "../tools/tool.js"
import type { StepTool } from "./step-tool.js"
import { type Says, TestGateway } from "./test-gateway.js"
import { stepBench } from "./test-step.js"

const Asked = defineEvent("q.asked", z.object({ text: z.string() }), { key: () => "k" })
const Said = defineEvent("a.said", z.object({ value: z.unknown() }))

type Answer = (request: CompletionRequest, times: number) => Says | Promise<Says>

function thinker(handle: (ctx: StepContext) => Promise<unknown>, tools: readonly AnyTool[] = []) {
  return defineAgent("thinker", {
    on: [Asked],
    emits: [Said],
    tools,
    retry: { attempts: 3, backoffMs: 0 },
    async handle(_, ctx) {
      ctx.emit(Said({ value: (await handle(ctx)) ?? null }))
    },
  })
}

/** The attempts of one step, as one process makes them. */
function attempts(answer: Answer, handle: (ctx: StepContext) => Promise<unknown>, tools: readonly AnyTool[] = []) {
  const gateway = new TestGateway(answer)
  return { gateway, step: stepBench(thinker(handle, tools), gateway, Asked({ text: "hello" })) }
}

const tool = (name: string, effect: "read" | "idempotent", run: () => unknown): AnyTool =>
  defineTool({ name, description: name, input: z.object({}), effect, run: async () => run() })

/** A promise, and who settles it. */
function gate() {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

const told = ({ asked }: TestGateway): string[] =>
  (asked.at(-1)?.messages ?? []).flatMap((message) => (message.role === "tool" ? [message.content] : []))

const called =
  (...names: string[]): Answer =>
  (_, times) =>
    times === 1 ? { calls: names.map((name) => ({ name })) } : { text: "done" }

describe("An attempt that fails while a call is under way", () => {
  test("does not have the next one ask again: it is given the answer when it comes", async () => {
    const { open, opened } = gate()
    let fails = true
    const { gateway, step } = attempts(
      async () => {
        await opened
        return { text: "paid" }
      },
      async (ctx) => {
        const [answer] = await Promise.all([
          ctx.llm.text("think"),
          ctx.run("beside", () => {
            if (fails) throw new Error("beside")
          }),
        ])
        return answer.text
      },
    )
    expect((await step.attempt(1)).ok).toBe(false)
    fails = false
    const second = step.attempt(2)
    await delay(20)
    open()
    expect((await second).ok).toBe(true)
    expect([gateway.asked.length, step.emitted]).toEqual([1, [{ value: "paid" }]])
  })

  test("tells its model nothing more: what a tool came to afterwards is no answer of the next attempt", async () => {
    const { open, opened } = gate()
    let [fails, runs] = [true, 0]
    const look = tool("look", "read", async () => {
      runs += 1
      if (runs > 1) return "seen"
      await opened
      throw new Error("dark")
    })
    const { gateway, step } = attempts(
      called("look"),
      async (ctx) => {
        const branch = ctx.branch()
        await Promise.all([
          branch.llm.text("look", { tools: [look] }),
          delay(20).then(() => {
            if (fails) throw new Error("beside")
          }),
        ])
        return told(gateway)
      },
      [look],
    )
    expect((await step.attempt(1)).ok).toBe(false)
    fails = false
    const second = step.attempt(2)
    await delay(20)
    open()
    expect((await second).ok).toBe(true)
    expect(await step.attempt(3, { died: true })).toMatchObject({ ok: true }) // as after a crash before the ack
    expect([step.emitted, runs]).toEqual([[{ value: ["seen"] }, { value: ["seen"] }], 2])
  })

  test("counts as one attempt, although its answer comes after its end", async () => {
    const { open, opened } = gate()
    const { step } = attempts(
      async () => {
        await opened
        return { text: "late" }
      },
      async (ctx) => {
        await Promise.all([ctx.llm.text("think"), ctx.run("beside", () => Promise.reject(new Error("beside")))])
      },
    )
    await step.attempt(1)
    open()
    await delay(20)
    const { attempts: past } = await step.journal()
    expect([past.spent, past.deaths, past.last?.ended]).toEqual([1, 0, "failed"])
  })
})

describe("An attempt that is broken off", () => {
  test.each(["its time is up", "its node stops"])("asks no longer at once: %s", async (why) => {
    const gateway = new TestGateway((_, times) => (times === 1 ? new Promise(() => {}) : { text: "at last" }))
    const agent = defineAgent("thinker", {
      on: [Asked],
      emits: [Said],
      stepTimeoutMs: why === "its time is up" ? 100 : 60_000,
      handle: async (_, ctx) => ctx.emit(Said({ value: (await ctx.llm.text("think")).text })),
    })
    const step = stepBench(agent, gateway, Asked({ text: "x" }))
    const stopping = new AbortController()
    if (why === "its node stops") setTimeout(() => stopping.abort(), 100)
    const began = performance.now()
    const { ok } = await step.attempt(1, { stopping: stopping.signal })
    expect([ok, performance.now() - began < 2_000]).toEqual([false, true])
    expect((await step.attempt(2)).ok).toBe(true)
    expect([step.emitted, gateway.asked.length]).toEqual([[{ value: "at last" }], 2])
  })
})

test("What is told of a run is of outsiders as soon as they have a say in it", async () => {
  const read = defineTool({
    name: "read",
    description: "Reads what anybody may have written",
    input: z.object({}),
    effect: "read",
    untrusted: true,
    run: async () => "buy now",
  })
  const { step } = attempts(called("read"), async (ctx) => (await ctx.llm.text("go", { tools: [read] })).text, [read])
  await step.attempt(1)
  const told = ["started", "tool-call-started", "tool-call-completed!", "content!", "completed!"]
  expect(step.told).toEqual(told)
})

describe("What a handler was given", () => {
  test("is the same on the next attempt, whatever the handler has made of it", async () => {
    const { step } = attempts(
      () => ({ text: "one" }),
      async (ctx) => {
        const list = await ctx.run("list", () => [1])
        list.push(2)
        const { message } = await ctx.llm.text("think")
        ;(message as { content: string }).content += "!"
        if (ctx.attempt === 1) throw new Error("once")
        return [list, message.content]
      },
    )
    await step.attempt(1)
    await step.attempt(2)
    expect(step.emitted).toEqual([{ value: [[1, 2], "one!"] }])
  })

  test("is the same after it has waited", async () => {
    const agent = thinker(async (ctx) => {
      const list = await ctx.run("list", () => [1])
      list.push(2)
      await ctx.sleep(1_000)
      return list
    })
    const bench = testAgent(agent)
    await bench.when(Asked({ text: "x" }))
    expect((await bench.whenTimePasses()).emitted).toMatchObject([{ data: { value: [1, 2] } }])
  })
})

describe("A turn in which a person is asked", () => {
  const ask: StepTool = {
    kind: "step",
    name: "ask",
    description: "Asks",
    input: z.object({}),
    run: (_, ctx) => ctx.ask("May I?", { default: "no" }),
  }

  test.each([1, 2, 8])("does the other calls beside it, or after it (%i at a time), each once", async (atATime) => {
    const made: string[] = []
    const other = tool("other", "read", () => {
      made.push("other")
      return "x".repeat(40_000) // so large that it is cut, and kept
    })
    const gateway = new TestGateway(called("other", "ask", "other", "other"))
    const handle = async (ctx: StepContext) =>
      (await ctx.llm.text("go", { tools: [ask, other], toolConcurrency: atATime })).text
    const bench = testAgent(thinker(handle, [other]), {
      models: { gateways: [gateway], default: "test/m" },
      replay: "always",
    })
    const first = await bench.when(Asked({ text: "x" }))
    expect([first.waiting, first.dead]).toEqual([["May I?"], []])
    expect(made.length).toBe(atATime === 1 ? 1 : 3)
    const { emitted, dead } = await bench.whenAnswered("yes")
    expect([emitted.map(({ data }) => data), dead, made.length]).toEqual([[{ value: "done" }], [], 3])
    expect(gateway.asked.length).toBe(2)
    expect(told(gateway)[1]).toBe("yes")
  })

  test("fails when one of its other calls does: the step does not wait for the person first", async () => {
    let runs = 0
    const pay = tool("pay", "idempotent", () => {
      runs += 1
      if (runs === 1) throw new RetryableError("busy", { code: "BANK" })
      return "paid"
    })
    const gateway = new TestGateway(called("ask", "pay"))
    const handle = async (ctx: StepContext) => (await ctx.llm.text("go", { tools: [ask, pay] })).text
    const bench = testAgent(thinker(handle, [pay]), { models: { gateways: [gateway], default: "test/m" } })
    const { attempts: made, waiting } = await bench.when(Asked({ text: "x" }))
    expect([made, waiting, runs]).toEqual([2, ["May I?"], 2])
    await bench.whenAnswered("yes")
    expect(told(gateway)).toEqual(["yes", "paid"])
  })
})

describe("What a model is told of an error", () => {
  test("is the same when the step runs again, although its cause is gone", async () => {
    let runs = 0
    const flaky: StepTool = {
      kind: "step",
      name: "flaky",
      description: "Fails once",
      input: z.object({}),
      run: async (_, ctx) =>
        ctx.run("try", () => {
          runs += 1
          if (runs === 1) throw new TerminalError("not now", { code: "DOOR_CLOSED" })
          return "open"
        }),
    }
    const gateway = new TestGateway(called("flaky"))
    const handle = async (ctx: StepContext) => (await ctx.llm.text("go", { tools: [flaky] })).text
    const bench = testAgent(thinker(handle), {
      models: { gateways: [gateway], default: "test/m" },
      replay: "always",
    })
    const { emitted, dead } = await bench.when(Asked({ text: "x" }))
    expect([dead, emitted.length, runs]).toEqual([[], 1, 1])
    expect(told(gateway)).toEqual(["Error: not now"])
  })
})

describe("A step that cannot repeat itself", () => {
  test("is not in effect, whatever its handler makes of the error", async () => {
    let prompt = 0
    const { step } = attempts(
      () => ({ text: "x" }),
      async (ctx) => {
        await ctx.llm.text(`prompt ${prompt++}`).catch(() => undefined)
        if (ctx.attempt === 1) throw new Error("once")
        return "fallback"
      },
    )
    await step.attempt(1)
    expect(await step.attempt(2)).toMatchObject({ ok: false, error: { code: "NONDETERMINISM" } })
    expect(step.emitted).toEqual([])
  })

  test("nor where it waits", async () => {
    let question = 0
    const { step } = attempts(
      () => ({ text: "x" }),
      async (ctx) => {
        const other = `${question++}?`
        await Promise.race([
          ctx.ask(other, { default: "no" }).catch(() => undefined),
          ctx.run("beside", () => delay(20)),
        ])
        if (ctx.attempt === 1) throw new Error("once")
        return "fallback"
      },
    )
    await step.attempt(1)
    expect(await step.attempt(2)).toMatchObject({ ok: false, error: { code: "NONDETERMINISM" } })
  })
})
