import type { Completion } from "../completion.js"
import type { ImagePart, Message, TextPart } from "../messages/message.js"

/** Texts on spans are cut at so many characters. */
const TEXT_MAX = 16_384

type Part = Readonly<Record<string, unknown>>

/** What was asked, as `gen_ai.input.messages` wants it. Images are named, not carried. */
export function inputContent(messages: readonly Message[]): string {
  return JSON.stringify(messages.map(messageContent))
}

/** What was answered, as `gen_ai.output.messages` wants it. */
export function outputContent({ message, finishReason }: Completion): string {
  return JSON.stringify([{ ...messageContent(message), finish_reason: finishReason }])
}

function messageContent(message: Message): { role: string; parts: readonly Part[] } {
  return { role: message.role, parts: partsOf(message) }
}

function partsOf(message: Message): readonly Part[] {
  if (message.role === "tool") {
    return [{ type: "tool_call_response", id: message.toolCallId, response: cut(message.content) }]
  }
  const { content } = message
  const parts: readonly Part[] = typeof content === "string" ? [textPart(content)] : content.map(contentPart)
  if (message.role !== "assistant") return parts
  const reasoning = message.reasoning === undefined ? [] : [{ type: "reasoning", content: cut(message.reasoning) }]
  const calls = (message.toolCalls ?? []).map(({ id, name, arguments: args }) => ({
    ...{ type: "tool_call", id, name },
    arguments: cut(JSON.stringify(args)),
  }))
  return [...reasoning, ...(content === "" ? [] : parts), ...calls]
}

function contentPart(part: TextPart | ImagePart): Part {
  if (part.type === "text") return textPart(part.text)
  const { image } = part
  if ("data" in image) return { type: "blob", modality: "image", mime_type: image.mediaType }
  return { type: "uri", modality: "image", uri: cut("url" in image ? image.url : image.path) }
}

const textPart = (text: string): Part => ({ type: "text", content: cut(text) })

const cut = (text: string): string => (text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX)} [...]`)
