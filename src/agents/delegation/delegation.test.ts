import { describe, expect, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"
import { user } from "../../gateways/messages/constructors.js"
import type { StepContext } from "../context.js"
import { type AgentDefinition, defineAgent } from "../define-agent.js"
import { testAgent } from "../test-agent.js"
import { taskDraft } from "./task.js"

const Asked = defineEvent("desk.asked", z.object({ n: z.number() }), { key: () => "k" })
const Told = defineEvent("desk.told", z.object({ saw: z.unknown() }))

const helper = defineAgent("helper", {
  on: [],
  input: z.object({ n: z.number() }),
  output: z.object({ twice: z.number() }),
  handle(event, ctx) {
    ctx.reply({ twice: event.data.input.n * 2 })
  },
})

const desk = (handle: (n: number, ctx: StepContext) => Promise<unknown>): AgentDefinition =>
  defineAgent("desk", {
    on: [Asked],
    emits: [Told],
    retry: { attempts: 2, backoffMs: 1 },
    async handle(event, ctx) {
      ctx.emit(Told({ saw: await handle(event.data.n, ctx) }))
    },
  })

const turns = async (count: number): Promise<void> => {
  for (let n = 0; n < count; n++) await Promise.resolve()
}
const always = { replay: "always" } as const
const saw = ({ emitted }: { emitted: readonly { data: unknown }[] }) =>
  emitted.map(({ data }) => (data as { saw: unknown }).saw)

describe("an agent that delegates", () => {
  test("gives a task, waits, and goes on with the reply", async () => {
    const bench = testAgent(
      desk(async (n, ctx) => {
        const before = await ctx.run("before", () => n + 1)
        const { twice } = await ctx.delegate(helper, { n: before })
        return ctx.run("after", () => twice + 1)
      }),
      always,
    )
    const asked = await bench.when(Asked({ n: 1 }))
    expect(asked).toMatchObject({ emitted: [], waiting: ["helper"], dead: [] })
    expect(asked.delegated).toEqual([{ agent: "helper", input: { n: 2 }, context: undefined }])
    const replied = await bench.whenReplied({ twice: 4 })
    expect(saw(replied)).toEqual([5])
    expect(replied).toMatchObject({ waiting: [], delegated: [] })
  })

  test("gives one task after the other, and none twice", async () => {
    const bench = testAgent(
      desk(async (n, ctx) => {
        const first = await ctx.delegate(helper, { n })
        const second = await ctx.delegate(helper, { n: first.twice })
        return second.twice
      }),
      always,
    )
    expect((await bench.when(Asked({ n: 1 }))).delegated).toHaveLength(1)
    const first = await bench.whenReplied({ twice: 2 })
    expect(first.delegated).toEqual([{ agent: "helper", input: { n: 2 }, context: undefined }])
    expect(saw(await bench.whenReplied({ twice: 4 }))).toEqual([4])
  })

  test("gives it once, also when the step begins again before it is put aside", async () => {
    const bench = testAgent(
      desk(async (n, ctx) => {
        const [got, ...ran] = await Promise.all([
          ctx.delegate("helper", { n }),
          ctx.run("one", () => 1),
          ctx.run("two", () => turns(20).then(() => 2)),
        ])
        return [got, ...ran]
      }),
      always,
    )
    const asked = await bench.when(Asked({ n: 1 }))
    expect(asked.delegated).toHaveLength(1)
    expect(asked.waiting).toEqual(["helper"])
    expect(saw(await bench.whenReplied("done"))).toEqual([["done", 1, 2]])
  })

  test("hands over what its code chooses", async () => {
    const messages = [user("Where is my parcel?")]
    const bench = testAgent(
      desk((n, ctx) => ctx.delegate(helper, { n }, { key: "own", context: { text: "urgent", messages } })),
      always,
    )
    const { delegated } = await bench.when(Asked({ n: 1 }))
    expect(delegated).toEqual([{ agent: "helper", input: { n: 1 }, context: { text: "urgent", messages } }])
  })

  test.each<[string, string]>([
    ["of its own", "LUCK"],
    ["since its own task had no result in time", "DELEGATE_TIMEOUT"],
  ])("fails when the other has failed, %s: a default is for results that do not come", async (_, code) => {
    const bench = testAgent(
      desk((n, ctx) => ctx.delegate(helper, { n }, { default: { twice: 0 } })),
      always,
    )
    await bench.when(Asked({ n: 1 }))
    const { dead, attempts } = await bench.whenFailed({ code, message: "no luck" })
    const message = expect.stringContaining(`no luck (${code})`)
    expect(dead).toMatchObject([{ reason: "terminal", error: { code: "DELEGATE_FAILED", message } }])
    expect(attempts).toBe(1)
  })

  test("may catch that the other failed, and does the same each time", async () => {
    const bench = testAgent(
      desk(async (n, ctx) => {
        const way = await ctx.delegate(helper, { n }).catch((error) => error.code)
        return [way, await ctx.run("other way", () => "by hand")]
      }),
      always,
    )
    await bench.when(Asked({ n: 1 }))
    expect(saw(await bench.whenFailed({ code: "LUCK", message: "no luck" }))).toEqual([["DELEGATE_FAILED", "by hand"]])
  })

  test.each<[string, object, unknown]>([
    ["its default", { default: { twice: 0 } }, [{ twice: 0 }]],
    ["a default that is nothing", { default: undefined }, [null]],
    ["an error without one", {}, ["DELEGATE_TIMEOUT"]],
  ])("goes on with %s when the time is up", async (_, options, expected) => {
    const bench = testAgent(
      desk(async (n, ctx) => {
        const got = await ctx.delegate(helper, { n }, { deadlineMs: 1_000, ...options }).catch(({ code }) => code)
        return got ?? null
      }),
      always,
    )
    await bench.when(Asked({ n: 1 }))
    expect(saw(await bench.whenTimePasses())).toEqual(expected)
    await expect(bench.whenReplied({ twice: 2 })).rejects.toMatchObject({ code: "TEST_NO_TASK" })
  })

  test.each<[string, string, (ctx: StepContext) => Promise<unknown>]>([
    ["an input that does not fit", "DELEGATE_INPUT", (ctx) => ctx.delegate(helper, { n: "one" as never })],
    [
      "an agent that takes no tasks",
      "DELEGATE_TARGET",
      (ctx) =>
        ctx.delegate(
          desk(async () => 1),
          { n: 1 },
        ),
    ],
    ["what is no name", "DELEGATE_TARGET", (ctx) => ctx.delegate("Not a name", { n: 1 })],
    ["no agent at all", "DELEGATE_TARGET", (ctx) => ctx.delegate(undefined as never, { n: 1 })],
    ["an unknown option", "DELEGATE_OPTION", (ctx) => ctx.delegate("a", 1, { timeout: 1 } as never)],
    ["a wrong deadline", "DELEGATE_OPTION", (ctx) => ctx.delegate("a", 1, { deadlineMs: 0 })],
    ["an unknown context", "DELEGATE_OPTION", (ctx) => ctx.delegate("a", 1, { context: "all" as never })],
    ["a wrong context", "DELEGATE_OPTION", (ctx) => ctx.delegate("a", 1, { context: { texts: "" } as never })],
    ["an unknown mode", "DELEGATE_OPTION", (ctx) => ctx.gather([], { mode: "some" as never })],
    ["a wrong key of one task", "DELEGATE_OPTION", (ctx) => ctx.gather([{ agent: "a", input: 1, key: 1 as never }])],
    ["what is not JSON", "NOT_JSON", (ctx) => ctx.delegate("a", 1n)],
    ["a reply where nobody has asked", "REPLY_NO_TASK", async (ctx) => ctx.reply(1)],
  ])("refuses %s", async (_, code, work) => {
    const bench = testAgent(desk((_, ctx) => work(ctx)))
    expect((await bench.when(Asked({ n: 1 }))).dead).toMatchObject([{ error: { code } }])
  })

  test("finds out that the reply does not fit", async () => {
    const bench = testAgent(desk((n, ctx) => ctx.delegate(helper, { n })))
    await bench.when(Asked({ n: 1 }))
    expect((await bench.whenReplied({ thrice: 3 })).dead).toMatchObject([{ error: { code: "DELEGATE_OUTPUT" } }])
  })
})

describe("an agent that gathers", () => {
  const three = (ctx: StepContext, n: number, mode: "all" | "first" | "majority", deadlineMs = 1_000) =>
    ctx.gather(
      ["a", "b", "c"].map((agent) => ({ agent, input: { n } })),
      { mode, deadlineMs },
    )
  const short = (results: readonly { ok: boolean }[]) =>
    results.map((result) => ("output" in result ? result.output : (result as { error?: { code: string } }).error?.code))

  test("all results goes on with the last", async () => {
    const runs: number[] = []
    const bench = testAgent(
      desk(async (n, ctx) => {
        runs.push(n)
        return short(await three(ctx, n, "all"))
      }),
      always,
    )
    const asked = await bench.when(Asked({ n: 1 }))
    expect(asked.delegated.map(({ agent }) => agent)).toEqual(["a", "b", "c"])
    expect(asked.waiting).toEqual(["a", "b", "c"])
    expect(saw(await bench.whenReplied("two", "b"))).toEqual([])
    expect(saw(await bench.whenFailed({ code: "LUCK", message: "" }, "c"))).toEqual([])
    expect(saw(await bench.whenReplied("one"))).toEqual([["one", "two", "LUCK"]])
    expect(runs).toHaveLength(2) // not for each result
  })

  test("the first that succeeds, and ignores those that come late", async () => {
    const bench = testAgent(
      desk(async (n, ctx) => [short(await three(ctx, n, "first")), await ctx.ask("And now?", { default: "-" })]),
      always,
    )
    await bench.when(Asked({ n: 1 }))
    await bench.whenFailed({ code: "LUCK", message: "" }, "a")
    expect((await bench.whenReplied("three", "c")).waiting).toEqual(["And now?"])
    expect(saw(await bench.whenAnswered("go"))).toEqual([[["LUCK", "DELEGATE_UNANSWERED", "three"], "go"]])
  })

  test("a majority while one hangs, and at the deadline what has come", async () => {
    const bench = testAgent(
      desk(async (n, ctx) => short(await three(ctx, n, "majority"))),
      always,
    )
    await bench.when(Asked({ n: 1 }))
    await bench.whenReplied("one", "a")
    expect(saw(await bench.whenReplied("three", "c"))).toEqual([["one", "DELEGATE_UNANSWERED", "three"]])
    await bench.when(Asked({ n: 2 }))
    await bench.whenReplied("two", "b")
    expect(saw(await bench.whenTimePasses())).toEqual([["DELEGATE_TIMEOUT", "two", "DELEGATE_TIMEOUT"]])
  })

  test("nothing from nobody", async () => {
    const bench = testAgent(
      desk(async (n, ctx) => [await ctx.gather([]), await ctx.run("n", () => n)]),
      always,
    )
    expect(saw(await bench.when(Asked({ n: 1 })))).toEqual([[[], 1]])
  })

  test("results of agents whose replies do not fit as errors", async () => {
    const bench = testAgent(
      desk(async (n, ctx) => short(await ctx.gather([{ agent: helper, input: { n } }]))),
      always,
    )
    await bench.when(Asked({ n: 1 }))
    expect(saw(await bench.whenReplied("two"))).toEqual([["DELEGATE_OUTPUT"]])
  })
})

describe("an agent that takes tasks", () => {
  const task = (n: number) => {
    const draft = taskDraft("helper", { n })
    const replyTo = { task: draft.id ?? "", agent: "test", step: "e", position: 0, to: "helper" }
    return { ...draft, data: { ...draft.data, replyTo } }
  }

  test("replies with its commit", async () => {
    expect(await testAgent(helper, always).when(task(3))).toMatchObject({
      replies: [{ ok: true, output: { twice: 6 } }],
      emitted: [],
      dead: [],
    })
  })

  test("does what is given to it by hand, and replies to nobody", async () => {
    expect(await testAgent(helper).when(taskDraft("helper", { n: 3 }))).toMatchObject({
      replies: [],
      dead: [],
      attempts: 1,
    })
  })

  test("is not asked to do what does not fit its input, nor what another forged", async () => {
    expect((await testAgent(helper).when(taskDraft("helper", { n: "x" }))).dead).toMatchObject([{ reason: "schema" }])
    const forged = task(1)
    const data = { ...forged.data, replyTo: { ...forged.data.replyTo, agent: "boss" } }
    expect((await testAgent(helper).when({ ...forged, data })).dead).toMatchObject([
      { reason: "malformed", error: { code: "TASK_FORGED" } },
    ])
  })

  test("does not begin with what nobody waits for any more", async () => {
    const late = task(1)
    const data = { ...late.data, deadline: "2026-01-01T00:00:00.000Z" }
    const { dead, replies } = await testAgent(helper).when({ ...late, data })
    expect([dead.map(({ error }) => (error as { code?: string }).code), replies]).toEqual([["TASK_EXPIRED"], []])
  })

  test("may delegate itself before it replies, or hand the task on", async () => {
    const middle = defineAgent("helper", {
      on: [],
      input: z.object({ n: z.number() }),
      async handle(event, ctx) {
        const { n } = event.data.input
        if (n < 0) return ctx.handoff("last", { n: -n }, { context: { text: "negative" } })
        ctx.reply(await ctx.delegate("last", { n }))
      },
    })
    const bench = testAgent(middle, always)
    expect((await bench.when(task(3))).delegated).toMatchObject([{ agent: "last", input: { n: 3 } }])
    expect((await bench.whenReplied(9)).replies).toEqual([{ ok: true, output: 9 }])
    const handed = await bench.when(task(-3))
    expect(handed).toMatchObject({ replies: [], waiting: [], dead: [] })
    expect(handed.delegated).toEqual([{ agent: "last", input: { n: 3 }, context: { text: "negative" } }])
  })

  test("without a reply answers null, or an error", async () => {
    const silent = (output?: z.ZodType) =>
      defineAgent("helper", { on: [], input: z.object({ n: z.number() }), ...(output && { output }), handle() {} })
    expect((await testAgent(silent()).when(task(1))).replies).toEqual([{ ok: true, output: null }])
    expect((await testAgent(silent(z.string())).when(task(1))).replies).toMatchObject([
      { ok: false, error: { code: "REPLY_NONE" } },
    ])
  })
})
