import type { ContentBlockParam } from "@anthropic-ai/sdk/resources/messages"
import { z } from "zod"
import type { AssistantMessage, ToolCall } from "../messages/message.js"

const PROVIDER = "anthropic"

/** A piece of an answer. */
export const Block = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text"), text: z.string() }),
  z.object({ type: z.literal("thinking"), thinking: z.string(), signature: z.string() }),
  z.object({ type: z.literal("redacted_thinking"), data: z.string() }),
  z.object({ type: z.literal("tool_use"), id: z.string(), name: z.string(), input: z.unknown() }),
])
export type Block = z.infer<typeof Block>

/**
 * What goes back to Anthropic with a message: its thoughts as they were signed, and where they stood among what was said.
 * Texts stand by their length and calls by their id: a message that somebody has changed since fits no more.
 */
const Kept = z.object({
  model: z.string(),
  blocks: z.array(
    z.union([
      z.object({ text: z.int().min(0) }),
      z.object({ call: z.string() }),
      z.object({ thinking: z.string(), signature: z.string() }),
      z.object({ redacted: z.string() }),
    ]),
  ),
})
type Kept = z.infer<typeof Kept>

/** The blocks that a message was made of, for the model that made them; `undefined` where they are not known any more. */
export function restored(message: AssistantMessage, model: string): ContentBlockParam[] | undefined {
  const kept = message.provider?.name === PROVIDER ? Kept.safeParse(message.provider.data).data : undefined
  // Signatures hold for the model that made them.
  return kept?.model === model ? placed(message, kept) : undefined
}

function placed({ content, toolCalls = [] }: AssistantMessage, { blocks }: Kept): ContentBlockParam[] | undefined {
  const calls = new Map(toolCalls.map((call) => [call.id, call]))
  const params: ContentBlockParam[] = []
  let at = 0
  for (const block of blocks) {
    if ("thinking" in block) params.push({ type: "thinking", ...block })
    else if ("redacted" in block) params.push({ type: "redacted_thinking", data: block.redacted })
    else if ("text" in block) {
      params.push(...textBlock(content.slice(at, at + block.text)))
      at += block.text
    } else {
      const call = calls.get(block.call)
      if (call === undefined) return undefined
      calls.delete(call.id)
      params.push(toolUse(call))
    }
  }
  return at === content.length && calls.size === 0 ? params : undefined
}

/** A text, if it says anything: Anthropic refuses others. */
export function textBlock(text: string): ContentBlockParam[] {
  return text.trim() === "" ? [] : [{ type: "text", text }]
}

/** A call that the model has asked for. */
export function toolUse({ id, name, arguments: input }: ToolCall): ContentBlockParam {
  return { type: "tool_use", id: wireId(id), name, input }
}

/** Anthropic takes few characters in names of calls; other providers, which may have named a call, take more. */
export function wireId(id: string): string {
  return id.replace(/[^\w-]/g, "_")
}

/** What a message keeps of the blocks that it was made of: nothing, where there are no thoughts. */
export function keptOf(blocks: readonly Block[], model: string): Pick<AssistantMessage, "provider"> {
  if (!blocks.some(({ type }) => type === "thinking" || type === "redacted_thinking")) return {}
  const kept = blocks.map((block): Kept["blocks"][number] => {
    if (block.type === "text") return { text: block.text.length }
    if (block.type === "tool_use") return { call: block.id }
    if (block.type === "redacted_thinking") return { redacted: block.data }
    return { thinking: block.thinking, signature: block.signature }
  })
  return { provider: { name: PROVIDER, data: { model, blocks: kept } } }
}
