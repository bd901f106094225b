import type { Part } from "@google/genai"
import { z } from "zod"
import type { AssistantMessage, Message, ToolCall } from "../messages/message.js"
import type { NamedPart } from "./call-names.js"

const PROVIDER = "gemini"

/**
 * What goes back to Gemini with a message: the signatures, and what they stood at. Texts stand by their length and calls by
 * their id: a message that somebody has changed since fits no more.
 */
const Kept = z.object({
  model: z.string(),
  parts: z.array(
    z.union([
      z.object({ text: z.int().min(0), signature: z.string().optional() }),
      z.object({ call: z.string(), signature: z.string().optional(), issued: z.boolean().optional() }),
    ]),
  ),
})
type Kept = z.infer<typeof Kept>

function keptIn({ provider }: AssistantMessage): Kept | undefined {
  return provider?.name === PROVIDER ? Kept.safeParse(provider.data).data : undefined
}

/** Of the calls in a message, those that Gemini itself has named. */
export function issuedIds(message: Message): string[] {
  if (message.role !== "assistant") return []
  return (keptIn(message)?.parts ?? []).flatMap((part) => ("call" in part && part.issued === true ? [part.call] : []))
}

/** A call as Gemini takes it: named only where Gemini itself has named it. */
export function toCall({ id, name, arguments: args }: ToolCall, issued: ReadonlySet<string>): Part {
  return { functionCall: { ...(issued.has(id) && { id }), name, args } }
}

/** The parts that a message was made of, for the model that made them; `undefined` where they are not known any more. */
export function restored(message: AssistantMessage, model: string, issued: ReadonlySet<string>): Part[] | undefined {
  const kept = keptIn(message)
  // Signatures hold for the model that made them.
  return kept?.model === model ? placed(message, kept, issued) : undefined
}

function placed(message: AssistantMessage, kept: Kept, issued: ReadonlySet<string>): Part[] | undefined {
  const calls = new Map((message.toolCalls ?? []).map((call) => [call.id, call]))
  const parts: Part[] = []
  let at = 0
  for (const part of kept.parts) {
    const signature = part.signature === undefined ? {} : { thoughtSignature: part.signature }
    if ("text" in part) {
      parts.push({ text: message.content.slice(at, at + part.text), ...signature })
      at += part.text
      continue
    }
    const call = calls.get(part.call)
    if (call === undefined) return undefined
    calls.delete(call.id)
    parts.push({ ...toCall(call, issued), ...signature })
  }
  return at === message.content.length && calls.size === 0 ? parts : undefined
}

/** Texts that nobody has signed are one text, however many pieces they came in; a signature stays at its own. */
export function keptOf(parts: readonly NamedPart[], model: string): Pick<AssistantMessage, "provider"> {
  const kept: Kept["parts"] = []
  for (const { text, call, functionCall, thoughtSignature: signature } of parts) {
    const signed = signature === undefined ? {} : { signature }
    if (call !== undefined) {
      kept.push({ call: call.id, ...signed, ...(functionCall?.id === call.id && { issued: true }) })
      continue
    }
    const { length } = text ?? ""
    const last = kept.at(-1)
    if (signature === undefined && last !== undefined && "text" in last && last.signature === undefined)
      last.text += length
    else if (length > 0 || signature !== undefined) kept.push({ text: length, ...signed })
  }
  const matters = kept.some((part) => part.signature !== undefined || ("call" in part && part.issued === true))
  return matters ? { provider: { name: PROVIDER, data: { model, parts: kept } } } : {}
}
