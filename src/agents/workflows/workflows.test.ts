import { describe, expect, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"
import { MurmurError, RetryableError, TerminalError } from "../../errors.js"
import type { StepContext } from "../context.js"
import { type AgentDefinition, defineAgent } from "../define-agent.js"
import { testAgent } from "../test-agent.js"
import { choose } from "./choose.js"
import { mapReduce } from "./map-reduce.js"
import { parallel } from "./parallel.js"
import { retry } from "./retry.js"
import { sequence } from "./sequence.js"
import { template } from "./template.js"

const Asked = defineEvent("desk.asked", z.object({ n: z.number() }), { key: () => "k" })
const Told = defineEvent("desk.told", z.object({ saw: z.unknown() }))
const Noted = defineEvent("desk.noted", z.object({ note: z.string() }))

type Work = (ctx: StepContext<readonly string[]>, n: number) => Promise<unknown>

const desk = (work: Work, attempts = 2): AgentDefinition =>
  defineAgent("desk", {
    on: [Asked],
    emits: [Told, Noted],
    retry: { attempts, backoffMs: 1 },
    state: {
      initial: [] as readonly string[],
      evolve: { Seen: (all: readonly string[], one: string) => [...all, one] },
    },
    async handle(event, ctx) {
      ctx.emit(Told({ saw: await work(ctx as never, event.data.n) }))
    },
  })

const always = { replay: "always" } as const
const saw = ({ emitted }: { emitted: readonly { type: string; data: unknown }[] }) =>
  emitted.flatMap(({ type, data }) => (type === "desk.told" ? [(data as { saw: unknown }).saw] : []))
const notes = ({ emitted }: { emitted: readonly { type: string; data: unknown }[] }) =>
  emitted.flatMap(({ type, data }) => (type === "desk.noted" ? [(data as { note: string }).note] : []))
const turns = async (count: number): Promise<void> => {
  for (let n = 0; n < count; n++) await Promise.resolve()
}

test("sequence: each stage is given what the one before has returned, and no call is made twice", async () => {
  const calls: string[] = []
  const bench = testAgent(
    desk((ctx, n) =>
      sequence(
        ctx,
        n,
        (value, ctx) => ctx.run("double", () => calls.push("double") * value * 2),
        (value, ctx) => ctx.delegate<string>("namer", { value }),
        async (name, ctx) => `${name} ${await ctx.run("last", () => calls.push("last"))}`,
      ),
    ),
    always,
  )
  expect((await bench.when(Asked({ n: 2 }))).delegated).toMatchObject([{ agent: "namer", input: { value: 4 } }])
  expect(saw(await bench.whenReplied("four"))).toEqual(["four 2"])
  expect(calls).toEqual(["double", "last"])
})

describe("parallel", () => {
  test("gives results in the shape of the branches, whoever is faster on which run", async () => {
    let run = 0
    const bench = testAgent(
      desk(async (ctx) => {
        run += 1
        const slow = (of: "a" | "b"): Promise<void> => turns((run % 2 === 0) === (of === "a") ? 20 : 0)
        const { a, b } = await parallel(ctx, {
          a: async (ctx) => {
            await slow("a")
            const one = await ctx.run("one", () => "a1")
            await slow("a")
            ctx.emit(Noted({ note: "a" }))
            ctx.record("Seen", "a")
            return [one, await ctx.run("two", () => "a2"), ctx.random()]
          },
          b: async (ctx) => {
            await slow("b")
            ctx.emit(Noted({ note: "b" }))
            ctx.record("Seen", "b")
            return [await ctx.run("one", () => "b1"), await ctx.run("two", () => "b2"), ctx.random()]
          },
        })
        return [a, b, ctx.state, await ctx.run("after", () => "after")]
      }),
      always,
    )
    const result = await bench.when(Asked({ n: 1 }))
    const random = expect.any(Number)
    expect(saw(result)).toEqual([[["a1", "a2", random], ["b1", "b2", random], ["a", "b"], "after"]])
    expect(run).toBeGreaterThan(2)
    expect(notes(result)).toEqual(["a", "b"])
    expect(await bench.state("k")).toEqual(["a", "b"])
  })

  test("runs so many branches at a time and no more", async () => {
    let running = 0
    let most = 0
    const branch = async (): Promise<number> => {
      most = Math.max(most, ++running)
      await turns(5)
      return running--
    }
    const bench = testAgent(
      desk((ctx) =>
        parallel(
          ctx,
          Array.from({ length: 9 }, () => branch),
          { concurrency: 3 },
        ),
      ),
    )
    expect((saw(await bench.when(Asked({ n: 1 })))[0] as unknown[]).length).toBe(9)
    expect(most).toBe(3)
  })

  test("goes on when all branches have what they wait for", async () => {
    const bench = testAgent(
      desk((ctx) =>
        parallel(
          ctx,
          [
            (ctx) => ctx.delegate("helper", 1),
            (ctx) => ctx.ask("Sure?", { default: "no" }),
            async (ctx) => {
              await ctx.sleep(1_000)
              return ctx.delegate("late", 2)
            },
          ],
          { concurrency: 2 },
        ),
      ),
      always,
    )
    expect((await bench.when(Asked({ n: 1 }))).waiting).toEqual(["Sure?", "helper"])
    expect((await bench.whenAnswered("yes")).waiting).toEqual(["helper", "sleep"])
    await bench.whenReplied("done", "helper")
    expect((await bench.whenTimePasses()).waiting).toEqual(["late"])
    expect(saw(await bench.whenReplied("later"))).toEqual([["done", "yes", "later"]])
  })

  test("begins no further branch when one fails, lets those that run end, and throws what is worst", async () => {
    const ended: string[] = []
    const bench = testAgent(
      desk((ctx) =>
        parallel(
          ctx,
          [
            async (ctx) => {
              ctx.emit(Noted({ note: "never" }))
              throw new MurmurError("may go away", { code: "SOME" })
            },
            (ctx) => ctx.run("slow", () => turns(30).then(() => ended.push("slow"))),
            () => {
              ended.push("never")
            },
          ],
          { concurrency: 2 },
        ).catch(({ code }) => [code, [...ended]]),
      ),
    )
    const result = await bench.when(Asked({ n: 1 }))
    expect([saw(result), notes(result)]).toEqual([[["SOME", ["slow"]]], []])
  })

  test.each<[string, unknown]>([
    ["concurrency", { concurrency: 0 }],
    ["an unknown option", { workers: 2 }],
  ])("refuses %s", async (_, options) => {
    const bench = testAgent(desk((ctx) => parallel(ctx, [], options as never)))
    expect((await bench.when(Asked({ n: 1 }))).dead).toMatchObject([{ error: { code: "WORKFLOW_OPTION" } }])
  })
})

test("mapReduce: the same with each, in their order, then something with all", async () => {
  const bench = testAgent(
    desk((ctx, n) =>
      mapReduce(ctx, [n, n + 1, n + 2], {
        concurrency: 2,
        map: (item, ctx, index) => ctx.run(`item ${index}`, () => item * 10),
        reduce: (all, ctx) => ctx.run("sum", () => all.reduce((sum, one) => sum + one, 0)),
      }),
    ),
    always,
  )
  expect(saw(await bench.when(Asked({ n: 1 })))).toEqual([60])
})

describe("choose", () => {
  test("goes the same way when it runs again, whatever has become of what it was decided by", async () => {
    const bench = testAgent(
      desk((ctx) =>
        choose(ctx, "way", () => (ctx.state.length === 0 ? "first" : "later"), {
          first: async (ctx) => `first ${await ctx.delegate("helper", 1)}`,
          later: async (ctx) => {
            ctx.record("Seen", "x")
            return "later"
          },
        }),
      ),
      always,
    )
    await bench.given().when(Asked({ n: 1 }))
    const other = testAgent(desk(async (ctx) => ctx.record("Seen", "x")))
    await other.when(Asked({ n: 1 }))
    expect(saw(await bench.whenReplied("one"))).toEqual(["first one"])
  })

  test("takes what is otherwise, and fails where there is none", async () => {
    const way = (cases: object) => testAgent(desk((ctx) => choose(ctx, "way", () => "toString", cases as never)))
    expect(saw(await way({ otherwise: () => "other" }).when(Asked({ n: 1 })))).toEqual(["other"])
    expect((await way({ a: () => 1 }).when(Asked({ n: 1 }))).dead).toMatchObject([{ error: { code: "WORKFLOW_CASE" } }])
  })
})

describe("retry", () => {
  const busy = () => new RetryableError("busy", { code: "BUSY" })

  test("tries again after a while, and makes no failed attempt twice", async () => {
    const tries: number[] = []
    const bench = testAgent(
      desk(async (ctx) => {
        const got = await retry(
          ctx,
          "fetch",
          async (ctx, attempt) => {
            tries.push(attempt)
            ctx.emit(Noted({ note: `attempt ${attempt}` }))
            const page = await ctx.run("page", () => attempt)
            if (attempt < 3) throw busy()
            return page
          },
          { attempts: 3, delayMs: 60_000 },
        )
        return [got, await ctx.run("after", () => "after")]
      }),
      always,
    )
    expect((await bench.when(Asked({ n: 1 }))).waiting).toEqual(["sleep"])
    expect((await bench.whenTimePasses()).waiting).toEqual(["sleep"])
    const result = await bench.whenTimePasses()
    expect([saw(result), notes(result)]).toEqual([[[3, "after"]], ["attempt 3"]])
    // twice each, since a replay begins behind each answer: once to make the call, once to fail or go on
    expect(tries).toEqual([1, 1, 2, 2, 3, 3, 3])
  })

  test("gives up when it has tried enough, or when trying again cannot help", async () => {
    const tried = async (error: Error, options = {}): Promise<unknown> => {
      let tries = 0
      const work = () => {
        tries += 1
        throw error
      }
      const bench = testAgent(desk((ctx) => retry(ctx, "fetch", work, { delayMs: 1, attempts: 3, ...options })))
      const { dead } = await bench.when(Asked({ n: 1 }))
      return [tries, ...dead.map(({ reason, error }) => [reason, (error as MurmurError).code, error.message])]
    }
    expect(await tried(busy())).toEqual([3, ["terminal", "BUSY", "Tried 3 times: fetch: busy"]])
    expect(await tried(new TerminalError("no", { code: "NO" }))).toEqual([
      1,
      ["terminal", "NO", "Tried once: fetch: no"],
    ])
    expect((await tried(busy(), { when: () => false })) as unknown[]).toHaveLength(2)
  })

  test("waits as long as the error says, and at most as long as it may", async () => {
    const error = new RetryableError("busy", { code: "BUSY", retryAfterMs: 30_000 })
    const work = () => {
      throw error
    }
    const bench = testAgent(desk((ctx) => retry(ctx, "fetch", work, { attempts: 2, delayMs: 1 })))
    expect((await bench.when(Asked({ n: 1 }))).waiting).toEqual(["sleep"])
    const short = testAgent(desk((ctx) => retry(ctx, "fetch", work, { attempts: 2, delayMs: 1, delayMsMax: 2 })))
    expect((await short.when(Asked({ n: 1 }))).dead).toHaveLength(1)
  })

  test("may wait for another agent in each attempt", async () => {
    const bench = testAgent(
      desk((ctx) => retry(ctx, "help", (ctx) => ctx.delegate("helper", 1), { when: () => true, delayMs: 1 })),
      always,
    )
    await bench.when(Asked({ n: 1 }))
    expect((await bench.whenFailed({ code: "LUCK", message: "" })).delegated).toHaveLength(1)
    expect(saw(await bench.whenReplied("at last"))).toEqual(["at last"])
  })

  test.each<[string, object]>([
    ["attempts", { attempts: 0 }],
    ["a delay", { delayMs: -1 }],
    ["when", { when: "always" }],
    ["an unknown option", { tries: 2 }],
  ])("refuses %s", async (_, options) => {
    const bench = testAgent(desk((ctx) => retry(ctx, "fetch", () => 1, options as never)))
    expect((await bench.when(Asked({ n: 1 }))).dead).toMatchObject([{ error: { code: "WORKFLOW_OPTION" } }])
  })
})

test("template: variables between stages, checked when it is made", async () => {
  const brief = template<{ topic: string; facts: readonly string[] }>(
    "About {{ topic }}:{% for fact in facts %} {{ fact }}.{% endfor %}",
  )
  const bench = testAgent(
    desk(async (ctx) =>
      sequence(
        ctx,
        { topic: "tides" },
        async (variables, ctx) => ({ ...variables, facts: await ctx.run("facts", () => ["The moon", "The sun"]) }),
        (variables) => brief(variables),
      ),
    ),
    always,
  )
  expect(saw(await bench.when(Asked({ n: 1 })))).toEqual(["About tides: The moon. The sun."])
  expect(() => template("{% for %}")).toThrow(expect.objectContaining({ code: "TEMPLATE" }))
})
