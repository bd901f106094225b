import type { ToolCall } from "../messages/message.js"

/** A tool call whose arguments travel as text. No text is no arguments; what is no JSON object is kept as it is. */
export function toolCallOf(id: string, name: string, text: string): ToolCall {
  if (text.trim() === "") return { id, name, arguments: {} }
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return { id, name, arguments: value as Record<string, unknown> }
    }
  } catch {}
  return { id, name, arguments: {}, malformed: text }
}
