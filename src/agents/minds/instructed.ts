import type { AnyEventDefinition } from "../../bus/define-event.js"
import type { MurmurEvent } from "../../bus/event.js"
import type { TextOptions } from "../../gateways/llm/llm.js"
import { jsonSchemaOf } from "../../gateways/llm/object.js"
import type { Message } from "../../gateways/messages/message.js"
import { estimateTokens } from "../../gateways/tokens/estimate-tokens.js"
import { isTaskType } from "../../router/reserved.js"
import type { StepContext } from "../context.js"
import type { CheckedMind } from "../mind-options.js"
import type { ModelTool } from "../step-calls.js"
import type { AnyTool } from "../tools/tool.js"
import { eventMessage } from "./event-message.js"
import { notesMessage } from "./history/choose.js"
import { makeNotes } from "./history/make-notes.js"
import { remember } from "./history/remember.js"
import { mindful } from "./mindful-context.js"
import { checkInstructions } from "./overrides.js"
import { type Prompt, preparePrompt } from "./prompt.js"
import { toolsOf } from "./step-tools.js"

/** What an instructed handler is made of. */
export interface Instructed extends CheckedMind {
  readonly name: string
  readonly instructions: string
  readonly emits: readonly AnyEventDefinition[]
  readonly tools: readonly AnyTool[]
}

/**
 * The handler of an agent with `instructions`: its model is shown the event and decides, with tools, what is done. A task is
 * answered with what the model says at last.
 *
 * @throws MurmurError `TEMPLATE` when the instructions are no template, `AGENT_OPTION` when two tools have the same name
 */
export function instructedHandle(agent: Instructed): (event: MurmurEvent, ctx: StepContext) => Promise<void> {
  checkInstructions(agent.name, agent.instructions)
  const tools = toolsOf(agent)
  let toolTokens: number | undefined
  return async (event, given) => {
    const ctx = mindful(given)
    toolTokens ??= sizeOfTools(tools)
    const parts = { agent, event, ctx, toolTokens }
    const prompt = await ctx.run("prompt", () => preparePrompt(parts))
    const { contextTokens, turnTokens: tokensMax } = prompt
    const said = await ask(agent, messagesOf(prompt, event), { tools, contextTokens }, event, ctx)
    if (agent.history === undefined) return
    remember({ event, said, tools: agent.tools, tokensMax }, ctx)
    await makeNotes(agent, prompt, ctx)
  }
}

function sizeOfTools(tools: readonly ModelTool[]): number {
  const specs = tools.map(({ name, description, input }) => ({ name, description, parameters: jsonSchemaOf(input) }))
  return specs.length === 0 ? 0 : estimateTokens([], specs)
}

function messagesOf({ system, summary, summaryTokens, recent }: Prompt, event: MurmurEvent): Message[] {
  const instructions: Message = { role: "system", content: system }
  return [instructions, ...notesMessage(summary, summaryTokens), ...recent, eventMessage(event)]
}

/** @returns what was said in answer */
async function ask(
  { output }: Instructed,
  messages: readonly Message[],
  options: Pick<TextOptions<ModelTool>, "tools" | "contextTokens">,
  event: MurmurEvent,
  ctx: StepContext,
): Promise<readonly Message[]> {
  const isTask = isTaskType(event.type)
  if (isTask && output !== undefined) {
    const { object, messages: said } = await ctx.llm.object(output, messages, options)
    ctx.reply(object)
    return said
  }
  const { text, messages: said } = await ctx.llm.text(messages, options)
  if (isTask) ctx.reply(text)
  return said
}
