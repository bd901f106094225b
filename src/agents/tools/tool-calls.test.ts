import { setTimeout as delay } from "node:timers/promises"
import { describe, expect, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"
import { derivedId } from "../../bus/ids.js"
import { RetryableError, TerminalError } from "../../errors.js"
import { type AgentDefinition, defineAgent } from "../define-agent.js"
import { type AgentTestResult, testAgent } from "../test-agent.js"
import { defineTool } from "./define-tool.js"
import type { AnyTool, Reconciled, ToolContext, ToolEffect } from "./tool.js"

const Order = defineEvent("shop.order", z.object({ n: z.number() }), { key: () => "ada" })
const Paid = defineEvent("shop.paid", z.object({ receipts: z.array(z.unknown()) }))
const order = (n = 1) => Order({ n }, { id: `order-${n}` })

/** An agent that pays each order so many times, one call after the other or side by side. */
function payer(tool: AnyTool, how: { times?: number; sideBySide?: boolean } = {}): AgentDefinition {
  const { times = 1, sideBySide = false } = how
  return defineAgent("payer", {
    on: [Order],
    emits: [Paid],
    retry: { attempts: 3 },
    tools: [tool] as const,
    async handle(event, ctx) {
      const calls = Array.from({ length: times }, (_, n) => () => ctx.tools.pay?.({ sum: event.data.n + n }))
      const receipts: unknown[] = []
      if (sideBySide) receipts.push(...(await Promise.all(calls.map((call) => call()))))
      else for (const call of calls) receipts.push(await call())
      ctx.emit(Paid({ receipts }))
    },
  })
}

/** A tool that notes its calls, and does what is said: each time the next thing. */
class Bank {
  readonly calls: { sum: number; ctx: ToolContext }[] = []
  readonly asked: string[] = []
  #paid = 0

  constructor(private readonly script: readonly (() => unknown)[] = []) {}

  tool(effect: ToolEffect, more: { timeoutMs?: number; output?: z.ZodType } = {}): AnyTool {
    const reconcile = ({ sum }: { sum: number }, ctx: ToolContext): Reconciled<unknown> => {
      this.asked.push(ctx.idempotencyKey)
      return this.#paid > 0 ? { done: true, output: `found ${sum}` } : { done: false }
    }
    return defineTool({
      ...{ name: "pay", description: "Pays", input: z.object({ sum: z.number() }), effect, ...more },
      run: async ({ sum }: { sum: number }, ctx): Promise<unknown> => {
        this.calls.push({ sum, ctx })
        const does = this.script[this.calls.length - 1]
        return does === undefined ? `receipt ${sum}` : does()
      },
      ...(effect === "reconcile" && { reconcile }),
    })
  }

  readonly payThenFail = (): never => {
    this.#paid += 1
    throw new Error("the connection broke")
  }
}

const fail = () => {
  throw new Error("the connection broke")
}
const fate = ({ dead }: AgentTestResult) => dead.map(({ reason, error }) => [reason, (error as TerminalError).code])
const receipts = ({ emitted }: AgentTestResult) => emitted.map(({ data }) => (data as { receipts: unknown }).receipts)

describe("a call", () => {
  test("is given who calls, and a key that is the same on each attempt and of no other call", async () => {
    const bank = new Bank([() => "first", fail])
    await testAgent(payer(bank.tool("idempotent"), { times: 2 })).when(order())
    const keys = bank.calls.map(({ ctx }) => ctx.idempotencyKey)
    expect(keys).toEqual([0, 1, 1].map((position) => derivedId("payer", "order-1", position)))
    expect(bank.calls.map(({ ctx }) => [ctx.agent, ctx.key, ctx.attempt])).toEqual([
      ["payer", "ada", 1],
      ["payer", "ada", 1],
      ["payer", "ada", 2],
    ])
  })

  test.each<ToolEffect>(["read", "idempotent", "reconcile", "irreversible"])(
    "of a tool with effect %s is made once, also when everything is replayed",
    async (effect) => {
      for (const sideBySide of [false, true]) {
        const bank = new Bank()
        const test = testAgent(payer(bank.tool(effect), { times: 3, sideBySide }), { replay: "always" })
        const result = await test.when(order())
        expect(receipts(result)).toEqual([["receipt 1", "receipt 2", "receipt 3"]])
        expect(bank.calls.map(({ sum }) => sum)).toEqual([1, 2, 3])
      }
    },
  )

  test("of several side by side is in its own time", async () => {
    const bank = new Bank(Array.from({ length: 5 }, () => () => delay(40, "late")))
    const began = performance.now()
    const result = await testAgent(payer(bank.tool("read"), { times: 5, sideBySide: true })).when(order())
    expect(receipts(result)).toEqual([Array(5).fill("late")])
    expect(performance.now() - began).toBeLessThan(150)
  })

  test("with input that does not fit is never made", async () => {
    const bank = new Bank()
    const agent = defineAgent("payer", {
      on: [Order],
      tools: [bank.tool("read")],
      handle: (_, ctx) => ctx.tools.pay?.({ sum: "all" }) as Promise<void>,
    })
    const { dead } = await testAgent(agent).when(order())
    expect(dead[0]).toMatchObject({ reason: "terminal", error: { code: "TOOL_INPUT" } })
    expect(dead[0]?.error.message).toContain('"payer" cannot call tool "pay": its input does not fit')
    expect(bank.calls).toEqual([])
  })

  test("whose time is up is aborted, and tried again", async () => {
    const stuck = () => new Promise(() => {})
    const bank = new Bank([stuck, stuck])
    const result = await testAgent(payer(bank.tool("read", { timeoutMs: 20 }))).when(order())
    expect(receipts(result)).toEqual([["receipt 1"]])
    expect(bank.calls.map(({ ctx }) => (ctx.signal.reason as RetryableError | undefined)?.code)).toEqual([
      "TOOL_TIMEOUT",
      "TOOL_TIMEOUT",
      undefined,
    ])
  })

  test("whose output does not fit is an error, and what fits is as the schema returns it", async () => {
    const output = z.string().transform((text) => text.length)
    const bank = new Bank([() => 7])
    const agent = payer(bank.tool("read", { output }))
    expect(fate(await testAgent(agent).when(order()))).toEqual([["terminal", "TOOL_OUTPUT"]])
    const replayed = await testAgent(agent, { replay: "always" }).when(order(2))
    expect(receipts(replayed)).toEqual([["receipt 2".length]])
  })
})

describe("when it is not known how a call ended", () => {
  test.each<ToolEffect>(["read", "idempotent"])("a tool with effect %s is called again", async (effect) => {
    const bank = new Bank([fail])
    expect(receipts(await testAgent(payer(bank.tool(effect))).when(order()))).toEqual([["receipt 1"]])
    expect(bank.calls).toHaveLength(2)
  })

  test("reconcile finds that it was done: that is its output", async () => {
    const bank = new Bank([() => bank.payThenFail()])
    const result = await testAgent(payer(bank.tool("reconcile")), { replay: "always" }).when(order())
    expect(receipts(result)).toEqual([["found 1"]])
    expect(bank.calls).toHaveLength(1)
    expect(bank.asked).toEqual([bank.calls[0]?.ctx.idempotencyKey])
  })

  test("reconcile finds that it was not done: it is called again", async () => {
    const bank = new Bank([fail])
    expect(receipts(await testAgent(payer(bank.tool("reconcile"))).when(order()))).toEqual([["receipt 1"]])
    expect([bank.calls.length, bank.asked.length]).toEqual([2, 1])
  })

  test("of an irreversible tool, a person is asked; yes lets it run once more", async () => {
    const bank = new Bank([fail, fail])
    const test = testAgent(payer(bank.tool("irreversible")))
    const { waiting, emitted } = await test.when(order())
    expect(waiting).toHaveLength(1)
    expect(waiting[0]).toMatch(/^"payer" called pay\(\{"sum":1\}\) at 20\S+Z, and it is not known whether it was done/)
    expect([emitted, bank.calls.length]).toEqual([[], 1])
    const second = await test.whenAnswered("yes")
    expect([second.waiting.length, bank.calls.length], "it failed again: another question").toEqual([1, 2])
    expect(second.waiting).not.toEqual(waiting)
    const third = await test.whenAnswered("yes")
    expect([third.waiting, receipts(third), bank.calls.length]).toEqual([[], [["receipt 1"]], 3])
  })

  test("of an irreversible tool, nobody answers: it has failed for good", async () => {
    const bank = new Bank([fail])
    const test = testAgent(payer(bank.tool("irreversible")))
    await test.when(order())
    expect(fate(await test.whenTimePasses())).toEqual([["terminal", "TOOL_OUTCOME_UNKNOWN"]])
    expect(bank.calls).toHaveLength(1)
  })

  test("of an irreversible tool whose time was up, a person is asked as well", async () => {
    const bank = new Bank([() => new Promise(() => {})])
    const { waiting } = await testAgent(payer(bank.tool("irreversible", { timeoutMs: 20 }))).when(order())
    expect([waiting.length, bank.calls.length]).toEqual([1, 1])
  })
})

describe("an irreversible tool", () => {
  test("says by the class of its error that nothing was done", async () => {
    const busy = () => {
      throw new RetryableError("busy", { code: "BANK_BUSY" })
    }
    const bank = new Bank([busy, busy])
    expect(receipts(await testAgent(payer(bank.tool("irreversible"))).when(order()))).toEqual([["receipt 1"]])
    expect(bank.calls).toHaveLength(3)
  })

  test("may refuse for good", async () => {
    const refuse = () => {
      throw new TerminalError("no such account", { code: "BANK_ACCOUNT" })
    }
    const bank = new Bank([refuse])
    const result = await testAgent(payer(bank.tool("irreversible"))).when(order())
    expect([fate(result), result.waiting]).toEqual([[["terminal", "BANK_ACCOUNT"]], []])
  })

  test.each<[string, () => unknown, z.ZodType | undefined]>([
    ["does not fit its schema", () => 7, z.string()],
    ["is not JSON", () => 1n, undefined],
  ])("whose output %s has done its work: it is not called again, and nobody is asked", async (_, does, output) => {
    const bank = new Bank([does])
    const result = await testAgent(payer(bank.tool("irreversible", output && { output }))).when(order())
    expect([fate(result), result.waiting, bank.calls.length]).toEqual([[["terminal", "TOOL_OUTPUT"]], [], 1])
  })
})
