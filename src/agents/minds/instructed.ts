import type { AnyEventDefinition } from "../../bus/define-event.js"
import type { MurmurEvent } from "../../bus/event.js"
import type { StepContext } from "../context.js"
import type { CheckedMind } from "../mind-options.js"
import type { AnyTool } from "../tools/tool.js"

/** What an instructed handler is made of. */
export interface Instructed extends CheckedMind {
  readonly name: string
  readonly instructions: string
  readonly emits: readonly AnyEventDefinition[]
  readonly tools: readonly AnyTool[]
}

/** The handler of an agent with `instructions`: the model decides, with tools, what is done. */
export function instructedHandle(_: Instructed): (event: MurmurEvent, ctx: StepContext) => Promise<void> {
  return async (event, ctx) => {
    await ctx.llm.text(JSON.stringify(event.data))
  }
}
