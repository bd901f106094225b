import { describe, expect, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"
import type { StepContext } from "../context.js"
import { defineAgent } from "../define-agent.js"
import { testAgent } from "../test-agent.js"
import { defineTool } from "../tools/define-tool.js"
import { type Says, TestGateway } from "./test-gateway.js"

const Asked = defineEvent("q.asked", z.object({ text: z.string() }), { key: () => "k" })
const Said = defineEvent("a.said", z.object({ value: z.unknown() }))

const look = defineTool({
  name: "look",
  description: "Looks",
  input: z.object({}).loose(),
  effect: "read",
  run: async () => "seen",
})

/** What comes of a step that asks. */
async function ask(says: (times: number) => Says, handle: (ctx: StepContext) => Promise<unknown>) {
  const gateway = new TestGateway((_, times) => says(times))
  const agent = defineAgent("thinker", {
    on: [Asked],
    emits: [Said],
    tools: [look],
    async handle(_, ctx) {
      ctx.emit(Said({ value: (await handle(ctx)) ?? null }))
    },
  })
  const bench = testAgent(agent, { models: { gateways: [gateway], default: "test/m" } })
  const { emitted, dead, runs } = await bench.when(Asked({ text: "x" }))
  const [said] = emitted.map(({ data }) => (data as { value: unknown }).value)
  return { gateway, said, runs, error: dead[0]?.error }
}

describe("What cannot be asked is refused before a model is paid", () => {
  test.each<[string, (ctx: StepContext) => Promise<unknown>, string]>([
    ["a tool that is none", (ctx) => ctx.llm.text("x", { tools: [{} as never] }), "tools.0: must be a tool"],
    [
      "two tools of one name",
      (ctx) => ctx.llm.text("x", { tools: [look, look] }),
      'two of its tools have the name "look"',
    ],
    ["calls of no tools", (ctx) => ctx.llm.text("x", { toolChoice: "required" }), "there are no tools"],
    ["vectors of a text that is not in a list", (ctx) => ctx.llm.embed("x" as never), "texts must be a list of texts"],
    ["vectors of nothing", (ctx) => ctx.llm.embed([]), "at least one text"],
    ["no messages", (ctx) => ctx.llm.text([]), "at least one message"],
    ["an object without a schema", (ctx) => ctx.llm.object({} as never, "x"), "must be a zod schema"],
  ])("%s", async (_, handle, why) => {
    const { gateway, error } = await ask(() => ({ text: "x" }), handle)
    expect(error).toMatchObject({ code: "LLM_OPTION", message: expect.stringContaining(why) })
    expect(gateway.asked).toEqual([])
  })
})

test("A tool that must be called is called, and then the model may answer", async () => {
  const { gateway, said } = await ask(
    (times) => (times === 1 ? { calls: [{ name: "look" }] } : { text: "done" }),
    async (ctx) => (await ctx.llm.text("go", { tools: [look], toolChoice: "required" })).text,
  )
  expect([said, gateway.asked.map(({ toolChoice }) => toolChoice)]).toEqual(["done", ["required", "auto"]])
})

describe("An object", () => {
  const Wanted = z.object({ n: z.number() })

  test.each([
    [1, 1],
    [2, 2],
    [25, 3],
  ])("that does not fit is asked for %i times at most, repairs included", async (turnsMax, asked) => {
    const { gateway, error } = await ask(
      () => ({ text: "{}" }),
      (ctx) => ctx.llm.object(Wanted, "x", { turnsMax }),
    )
    expect([error, gateway.asked.length]).toMatchObject([{ code: "LLM_OBJECT" }, asked])
  })

  test("that takes tools and repairs has no more turns than it may", async () => {
    const { gateway, error } = await ask(
      (times) => (times % 2 === 1 ? { calls: [{ name: "look", arguments: { times } }] } : { text: "{}" }),
      (ctx) => ctx.llm.object(Wanted, "x", { tools: [look], turnsMax: 3 }),
    )
    expect([error, gateway.asked.length]).toMatchObject([{ code: "LLM_TURNS" }, 3])
  })

  test("whose schema throws is nothing that the model can mend", async () => {
    const broken = Wanted.transform(() => {
      throw new Error("out of order")
    })
    const { gateway, error } = await ask(
      () => ({ text: '{"n":1}' }),
      (ctx) => ctx.llm.object(broken, "x"),
    )
    expect(error).toMatchObject({ code: "LLM_OPTION", message: expect.stringContaining("out of order") })
    expect(gateway.asked.length).toBe(1)
  })
})

describe("A stream", () => {
  test("may be left early: its answer comes all the same", async () => {
    const { said } = await ask(
      () => ({ text: "once upon a time" }),
      async (ctx) => {
        const stream = ctx.llm.stream("tell")
        for await (const _ of stream) break
        return (await stream.answer).text
      },
    )
    expect(said).toBe("once upon a time")
  })

  test("may have two readers: none of them waits for ever", async () => {
    const { said } = await ask(
      () => ({ text: "once upon a time" }),
      async (ctx) => {
        const stream = ctx.llm.stream("tell")
        const read = async (): Promise<string[]> => {
          const seen: string[] = []
          for await (const piece of stream) if (piece.type === "text") seen.push(piece.text)
          return seen
        }
        return (await Promise.all([read(), read()])).flat().toSorted()
      },
    )
    expect((said as string[]).join("")).toHaveLength("once upon a time".length)
  })

  test("beside another answer is told once, each with its own words", async () => {
    const { runs } = await ask(
      () => ({ reasoning: "hm", text: "one two" }),
      async (ctx) => {
        await Promise.all([ctx.llm.stream("a").answer, ctx.llm.text("b"), ctx.llm.stream("c").answer])
      },
    )
    const told = runs
      .filter(({ type }) => type === "murmur.run.content")
      .map(({ data }) => (data as { text: string }).text)
    expect(told).toEqual(["one two", "one two", "one two"])
  })
})

test("What is told of a run fits a message, however much a model says", async () => {
  const much = "x".repeat(100_000)
  const { runs } = await ask(
    (times) => (times === 1 ? { calls: [{ name: "look", arguments: { much } }] } : { text: much }),
    async (ctx) => (await ctx.llm.text("go", { tools: [look] })).text.length,
  )
  expect(Math.max(...runs.map((run) => JSON.stringify(run).length))).toBeLessThan(40_000)
  const told = runs.flatMap(({ type, data }) =>
    type === "murmur.run.content" ? [(data as { text: string }).text] : [],
  )
  expect(told.join("")).toBe(much)
})
