import type { CompletionRequest, Usage } from "../completion.js"
import type { AssistantMessage, Message } from "../messages/message.js"

const CHARACTERS_A_TOKEN = 4
/** What an image counts where nobody says: some 765 for one of medium size at OpenAI. */
const IMAGE_TOKENS = 765

/**
 * What a call may have used, for providers that do not count: four characters a token. Rough, but never 0 for an answer
 * that says something.
 */
export function estimatedUsage(
  request: Pick<CompletionRequest, "messages" | "tools">,
  answer: AssistantMessage,
): Usage {
  const tools = request.tools === undefined || request.tools.length === 0 ? 0 : JSON.stringify(request.tools).length
  const asked = request.messages.reduce((sum, message) => sum + lengthOf(message), tools)
  return { inputTokens: tokensOf(asked), outputTokens: tokensOf(lengthOf(answer)) }
}

/** How many tokens so many characters are. */
export function tokensOf(characters: number): number {
  return Math.ceil(characters / CHARACTERS_A_TOKEN)
}

function lengthOf(message: Message): number {
  const { content } = message
  const text = typeof content === "string" ? content.length : content.reduce((sum, part) => sum + partLength(part), 0)
  if (message.role !== "assistant") return text
  const calls = message.toolCalls === undefined ? 0 : JSON.stringify(message.toolCalls).length
  return text + (message.reasoning?.length ?? 0) + calls
}

function partLength(part: Exclude<Message["content"], string>[number]): number {
  return part.type === "text" ? part.text.length : IMAGE_TOKENS * CHARACTERS_A_TOKEN
}
