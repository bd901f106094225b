import { TerminalError } from "../../errors.js"
import type { BrokerCompletion, BrokerRequest } from "../broker/broker.js"
import type { JsonSchema, StreamPart } from "../completion.js"
import { toolResult } from "../messages/constructors.js"
import type { ToolCall, ToolMessage } from "../messages/message.js"
import type { CheckedCall } from "./given.js"
import type { TextPiece } from "./llm.js"
import type { Bill, Conversation, LlmCalls, LlmPort, ToolOutcome } from "./port.js"
import { Repetition } from "./repetition.js"
import { sideBySide } from "./side-by-side.js"

/** What a conversation with a model is about. */
export interface Talk<Tool> {
  readonly port: LlmPort<Tool>
  readonly calls: LlmCalls<Tool>
  readonly given: CheckedCall<Tool>
  readonly bill: Bill
  readonly object: { readonly name: string; readonly schema: JsonSchema } | undefined
  readonly onPiece: ((piece: TextPiece) => void) | undefined
}

/**
 * Asks a model, does what it asks for and tells it what came of it, until it answers without asking for anything.
 *
 * @returns the last answer; `conversation` holds all of them
 * @throws TerminalError `LLM_TURNS`, `LLM_LOOP`; what asking throws
 */
export async function converse<Tool>(talk: Talk<Tool>, conversation: Conversation): Promise<BrokerCompletion> {
  const { port, given, bill, calls } = talk
  const repetition = new Repetition(port.who)
  const tools = new Map(given.tools.map((tool) => [port.specOf(tool).name, tool]))
  for (;;) {
    const completion = await calls.complete(requestOf(talk, conversation), manner(talk))
    bill.add(completion)
    say(conversation, completion.message)
    const asked = completion.message.toolCalls ?? []
    if (asked.length === 0) return completion
    if (bill.turns >= given.turnsMax) throw tooManyTurns(port.who, given.turnsMax)
    repetition.check(asked)
    for (const result of await runTools(talk, tools, asked)) say(conversation, result)
  }
}

function say({ messages, added }: Conversation, message: Conversation["messages"][number]): void {
  messages.push(message)
  added.push(message)
}

function requestOf<Tool>({ port, given, object }: Talk<Tool>, { messages, added }: Conversation): BrokerRequest {
  const { models, options, tools, cacheMs } = given
  // a model that must call a tool in each turn would never come to an end
  const isCalled = given.toolChoice === "required" && added.some(({ role }) => role === "tool")
  const toolChoice = isCalled ? "auto" : given.toolChoice
  return {
    models,
    messages: [...messages],
    options,
    ...(tools.length > 0 && { tools: tools.map((tool) => port.specOf(tool)) }),
    ...(toolChoice !== undefined && { toolChoice }),
    ...(object !== undefined && { object }),
    ...(cacheMs !== undefined && { cacheMs }),
  }
}

function manner<Tool>({ given: { priority, deadlineMs }, onPiece }: Talk<Tool>) {
  const onPart = (part: StreamPart): void => {
    if (part.type !== "end") onPiece?.(part)
  }
  return { priority, deadlineMs, onPart: onPiece === undefined ? undefined : onPart }
}

/** One turn's calls, side by side. What goes wrong with one is told to the model and does not touch the others. */
async function runTools<Tool>(
  talk: Talk<Tool>,
  tools: ReadonlyMap<string, Tool>,
  asked: readonly ToolCall[],
): Promise<ToolMessage[]> {
  const { calls, given, onPiece } = talk
  const works = asked.map((call) => {
    const run = prepare(calls, tools, call)
    return async (): Promise<ToolMessage> => {
      const outcome = await run()
      onPiece?.({ type: "tool-result", call, ...outcome })
      return toolResult(call, outcome.content, { isError: outcome.isError })
    }
  })
  return sideBySide(works, given.toolConcurrency)
}

function prepare<Tool>(
  calls: LlmCalls<Tool>,
  tools: ReadonlyMap<string, Tool>,
  call: ToolCall,
): () => Promise<ToolOutcome> {
  const tool = tools.get(call.name)
  if (tool === undefined) {
    const known = [...tools.keys()].join(", ") || "none"
    return async () => told(`There is no tool "${call.name}". There are: ${known}`)
  }
  const { malformed } = call
  if (malformed !== undefined) {
    return async () => told(`The arguments of "${call.name}" are no JSON object: ${malformed.slice(0, 200)}`)
  }
  return calls.prepareTool(tool, call)
}

function told(content: string): ToolOutcome {
  return { content, isError: true }
}

function tooManyTurns(who: string, turnsMax: number): TerminalError {
  return new TerminalError(`${who} has asked the model ${turnsMax} times and it still calls tools (turnsMax)`, {
    code: "LLM_TURNS",
    details: { turnsMax },
  })
}
