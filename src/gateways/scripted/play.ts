import { setTimeout as sleep } from "node:timers/promises"
import type { Completion, CompletionRequest, StreamPart } from "../completion.js"
import { providerError, replyError } from "../errors.js"
import { estimatedUsage } from "../http/estimated-usage.js"
import { toolCallOf } from "../http/tool-arguments.js"
import type { AssistantMessage, ToolCall } from "../messages/message.js"
import type { ScriptedAnswer, ScriptedFault, ScriptedReply } from "./script.js"

const HUGE = 2_000_000

/** What a reply comes to: an answer, or an error after as much of a stream as came before it. */
export type Played =
  | { readonly completion: Completion }
  | { readonly before: string; readonly error: Error }
  | { readonly never: true }

/** Plays one reply. */
export function play(reply: ScriptedReply, request: CompletionRequest, provider: string): Played {
  if (typeof reply === "string") return { completion: answered({ text: reply }, request) }
  if ("fault" in reply) return faulty(reply, request, provider)
  return { completion: answered(reply, request) }
}

function faulty(fault: ScriptedFault, request: CompletionRequest, provider: string): Played {
  const { model } = request
  const refused = (status: number | undefined, message: string, retryAfterMs?: number): Played => ({
    before: "",
    error: providerError({ provider, model, status, message, retryAfterMs }),
  })
  switch (fault.fault) {
    case "busy":
      return refused(429, "so the script says", fault.retryAfterMs)
    case "unavailable":
      return refused(503, "so the script says")
    case "refused":
      return refused(fault.status, fault.message ?? "so the script says")
    case "reset":
      return { ...refused(undefined, "ECONNRESET: so the script says"), before: fault.text ?? "" }
    case "cut":
      return { before: fault.text ?? "", error: replyError(provider, model, "it was cut: so the script says") }
    case "huge":
      return { completion: answered({ text: "x".repeat(fault.characters ?? HUGE) }, request) }
    case "hang":
      return { never: true }
  }
}

function answered(answer: ScriptedAnswer, request: CompletionRequest): Completion {
  const { text, object, reasoning, finishReason, usage } = answer
  const toolCalls = (answer.toolCalls ?? []).map((call, index) => toToolCall(call, request, index))
  const message: AssistantMessage = {
    role: "assistant",
    content: text ?? (object === undefined ? "" : JSON.stringify(object)),
    ...(reasoning !== undefined && { reasoning }),
    ...(toolCalls.length > 0 && { toolCalls }),
  }
  return {
    message,
    finishReason: finishReason ?? (toolCalls.length > 0 ? "tool-calls" : "stop"),
    usage: usage ?? estimatedUsage(request, message),
    model: request.model,
  }
}

/** Ids tell the calls of a conversation apart, and are the same when it is played again. */
function toToolCall(
  { id, name, arguments: given = {} }: NonNullable<ScriptedAnswer["toolCalls"]>[number],
  { messages }: CompletionRequest,
  index: number,
): ToolCall {
  const text = typeof given === "string" ? given : JSON.stringify(given)
  return toolCallOf(id ?? `call_${messages.length}_${index}`, name, text)
}

/** The pieces of an answer, a word each, and its end. */
export function* piecesOf(played: Exclude<Played, { readonly never: true }>): Generator<StreamPart> {
  if ("error" in played) {
    for (const text of words(played.before)) yield { type: "text", text }
    throw played.error
  }
  const { message } = played.completion
  for (const text of words(message.reasoning ?? "")) yield { type: "reasoning", text }
  for (const text of words(message.content)) yield { type: "text", text }
  for (const call of message.toolCalls ?? []) yield { type: "tool-call", call }
  yield { type: "end", completion: played.completion }
}

const words = (text: string): string[] => text.match(/\S+\s*|\s+/g) ?? []

/** Waits, and no longer than somebody waits for it. @throws the signal's reason */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  if (ms > 0) await sleep(ms, undefined, { signal }).catch(() => {})
  signal.throwIfAborted()
}

/** Waits until nobody waits any longer. @throws the signal's reason */
export async function hang(signal: AbortSignal): Promise<never> {
  signal.throwIfAborted()
  return await new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true })
  })
}
