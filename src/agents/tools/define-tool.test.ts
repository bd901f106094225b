import { expect, expectTypeOf, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"
import { type AgentDefinition, defineAgent } from "../define-agent.js"
import { defineTool, isTool } from "./define-tool.js"
import type { Reconciled } from "./tool.js"

const Seen = defineEvent("a.seen", z.object({ n: z.number() }))
const readLog = defineTool({
  name: "readLog",
  description: "Reads a log",
  input: z.object({ url: z.string(), lines: z.number().default(10) }),
  effect: "read",
  run: async ({ url, lines }) => ({ text: `${lines} of ${url}` }),
})
const given = { name: "pay", description: "Pays", input: z.object({ sum: z.number() }), effect: "read", run: () => 1 }

test("what is not said has its default", () => {
  expect(readLog).toMatchObject({ name: "readLog", effect: "read", timeoutMs: 30_000, askTimeoutMs: 86_400_000 })
  expect(readLog).toMatchObject({ private: false, egress: false, untrusted: false, approval: "never" })
  expect(defineTool({ ...given, effect: "irreversible" })).toMatchObject({ approval: "untrusted" })
  expect([isTool(readLog), isTool({ ...readLog }), isTool(null), isTool("readLog")]).toEqual([
    true,
    false,
    false,
    false,
  ])
})

test("a handler calls its tools with the types that their schemas give", () => {
  const tag = defineTool({
    name: "tag",
    description: "Tags a release",
    input: z.object({ name: z.string() }),
    output: z.object({ at: z.string().transform((text) => new Date(text)) }),
    effect: "reconcile",
    run: () => ({ at: "2026-01-01" }),
    reconcile: async (): Promise<Reconciled<{ at: string }>> => ({ done: false }),
  })
  defineAgent("typed", {
    on: [Seen],
    tools: [readLog, tag],
    handle(event, ctx) {
      expectTypeOf(event.data).toEqualTypeOf<{ n: number }>()
      expectTypeOf(ctx.tools.readLog).toEqualTypeOf<
        (input: { url: string; lines?: number | undefined }) => Promise<{ text: string }>
      >()
      expectTypeOf(ctx.tools.tag).returns.resolves.toEqualTypeOf<{ at: Date }>()
      // @ts-expect-error it has no such tool
      ctx.tools.other
    },
  })
  defineAgent("toolless", {
    on: [Seen],
    handle(_, ctx) {
      expectTypeOf(ctx.tools).toEqualTypeOf<Record<never, never>>()
    },
  })
})

test.each<[object, string[]]>([
  [{ nam: "x" }, ['unknown option "nam"', "name"]],
  [{ name: "" }, ["a tool", 'name must be a letter and then letters, digits, "_" and "-", at most 64, is ""']],
  [{ name: "pay now" }, ['is "pay now"']],
  [{ name: 7 }, ["is 7"]],
  [{ description: " " }, ['description must say what it does, is " "']],
  [{ effect: "write" }, ['effect must be one of read, idempotent, reconcile, irreversible, is "write"']],
  [{ input: z.string() }, ["input must be a z.object, is a schema of string"]],
  [{ input: undefined }, ["input must be a z.object, is undefined"]],
  [{ output: 7 }, ["output must be a zod schema, is 7"]],
  [{ run: undefined }, ["run must be a function, is undefined"]],
  [{ effect: "reconcile" }, ["needs a function reconcile"]],
  [{ effect: "reconcile", reconcile: 1 }, ["reconcile must be a function, is number"]],
  [{ reconcile: () => ({ done: false }) }, ['reconcile goes with effect "reconcile"', '"read"']],
  [{ askTimeoutMs: 5 }, ['askTimeoutMs goes with effect "irreversible" or with approval', '"read"']],
  [{ private: "yes" }, ['private must be true or false, is "yes"']],
  [{ egress: 1 }, ["egress must be true or false, is 1"]],
  [{ untrusted: null }, ["untrusted must be true or false, is null"]],
  [{ approval: "sometimes" }, ['approval must be one of never, always, untrusted, is "sometimes"']],
  [{ timeoutMs: 0 }, [`timeoutMs must be an integer from 1 to ${2 ** 31 - 1}, is 0`]],
  [{ timeoutMs: "5" }, ["is 5"]],
  [{ effect: "irreversible", askTimeoutMs: 1.5 }, ["askTimeoutMs must be an integer from 1 to", "is 1.5"]],
])("a wrong option %j is refused with what was wanted and what was found", (options, said) => {
  const define = () => defineTool({ ...given, ...options } as never)
  expect(define).toThrow(expect.objectContaining({ code: "TOOL_OPTION" }))
  for (const part of said) expect(define).toThrow(part)
})

test.each([[undefined], [null], ["x"]])("options that are %j are refused", (options) => {
  expect(() => defineTool(options as never)).toThrow(expect.objectContaining({ code: "TOOL_OPTION" }))
})

test.each<[object, string]>([
  [{ tools: readLog }, '"tools" must be a list of tools, is object'],
  [{ tools: [given] }, '"tools" takes tools made by defineTool'],
  [{ tools: [readLog, readLog] }, 'two of its tools have the name "readLog"'],
  [{ tools: [readLog], handle: undefined, react: () => undefined }, '"tools" goes with "handle"'],
])("an agent's tools %j are refused", (options, said) => {
  const define = () => defineAgent("triage", { on: [Seen], handle: () => {}, ...options } as never)
  expect(define).toThrow(expect.objectContaining({ code: "AGENT_OPTION", message: expect.stringContaining(said) }))
})

test("the code of its tools is part of an agent's code", () => {
  const codeWith = (run: () => number): string => {
    const tool = defineTool({ ...given, effect: "read", run })
    return (defineAgent("clerk", { on: [Seen], tools: [tool], handle: () => {} }) satisfies AgentDefinition).code
  }
  expect(codeWith(() => 1)).toBe(codeWith(() => 1))
  expect(codeWith(() => 1)).not.toBe(codeWith(() => 2))
})
