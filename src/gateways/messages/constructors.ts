import type {
  AssistantMessage,
  ImagePart,
  ImageSource,
  SystemMessage,
  TextPart,
  ToolCall,
  ToolMessage,
  UserMessage,
} from "./message.js"

/** What the model is told about its task. */
export function system(content: string): SystemMessage {
  return { role: "system", content }
}

/**
 * What a user, an event or a program says.
 *
 * @example
 * user("What is in this picture?", image({ path: "chart.png" }))
 */
export function user(...content: readonly (string | TextPart | ImagePart)[]): UserMessage {
  const [only] = content
  if (content.length === 1 && typeof only === "string") return { role: "user", content: only }
  return { role: "user", content: content.map((part) => (typeof part === "string" ? text(part) : part)) }
}

/** What a model has said. */
export function assistant(
  content: string,
  more: Pick<AssistantMessage, "reasoning" | "toolCalls"> = {},
): AssistantMessage {
  return { role: "assistant", content, ...more }
}

/** What a tool call that a model asked for has come to. */
export function toolResult(
  { id, name }: Pick<ToolCall, "id" | "name">,
  content: string,
  { isError = false }: { readonly isError?: boolean } = {},
): ToolMessage {
  return { role: "tool", toolCallId: id, name, content, ...(isError && { isError }) }
}

/** A piece of text. */
export function text(content: string): TextPart {
  return { type: "text", text: content }
}

/**
 * An image: a file, an address, or bytes.
 *
 * @example
 * image({ path: "chart.png" })
 * image({ url: "https://example.com/chart.png" })
 * image({ bytes, mediaType: "image/png" })
 */
export function image(source: ImageSource | { readonly bytes: Uint8Array; readonly mediaType: string }): ImagePart {
  if (!("bytes" in source)) return { type: "image", image: source }
  const data = Buffer.from(source.bytes).toString("base64")
  return { type: "image", image: { data, mediaType: source.mediaType } }
}
