import { z } from "zod"
import type { StepContext } from "../../../src/agents/context.js"
import { type AgentDefinition, defineAgent } from "../../../src/agents/define-agent.js"
import type { AnyTool } from "../../../src/agents/tools/tool.js"
import { defineEvent } from "../../../src/bus/define-event.js"
import type { SeenRequest } from "./fake-protocol.js"

export const Asked = defineEvent("lab.asked", z.object({ n: z.number() }), { key: (d) => `key-${d.n}` })
export const Answered = defineEvent("lab.answered", z.object({ n: z.number(), text: z.string() }), {
  key: (d) => `key-${d.n}`,
})

/** What an agent of the laboratory does with one event. */
export type Asks = (n: number, ctx: StepContext) => Promise<string>

/** What of it a test wants otherwise. */
export interface AskerOptions {
  readonly name?: string
  readonly ordering?: "key" | "none"
  readonly concurrency?: number
  readonly retry?: { readonly attempts?: number; readonly backoffMs?: number }
  readonly tools?: readonly AnyTool[]
  readonly from?: "start"
}

/** Asks once. The attempt stands in the request (`seed`), and not in what makes it the same call. */
export const askOnce: Asks = async (n, ctx) => (await ctx.llm.text(`question ${n}`, { seed: ctx.attempt })).text

/** An agent that asks models and tells what it heard. */
export function asker(asks: Asks = askOnce, { name = "asker", ...options }: AskerOptions = {}): AgentDefinition {
  return defineAgent(name, {
    on: [Asked],
    emits: [Answered],
    concurrency: 16,
    retry: { backoffMs: 5, backoffMsMax: 20 },
    async handle({ data: { n } }, ctx) {
      ctx.emit(Answered({ n, text: await asks(n, ctx as StepContext) }))
    },
    ...options,
  })
}

/** Which event a request is about. */
export const numberOf = ({ messages }: SeenRequest): number => Number(messages[0]?.text.split(" ")[1])

/** Numbers from 0 to 1, the same in each run. */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
