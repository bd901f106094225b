import type { ToolSpec } from "../../gateways/completion.js"
import type { Message, ToolMessage } from "../../gateways/messages/message.js"
import { estimateTextTokens, estimateTokens } from "../../gateways/tokens/estimate-tokens.js"
import { cutText } from "./history/fit.js"

/** Shorter results are left as they are: there is little to gain. */
const SHORT_TOKENS = 40

/**
 * Messages as they fit into so many tokens, as far as cutting results of tools can do it: a step may call many. The oldest
 * are cut first; those that the model has not seen yet are shortened at last, each to the same length.
 */
export function withinWindow(
  messages: readonly Message[],
  tools: readonly ToolSpec[] | undefined,
  tokensMax: number,
): readonly Message[] {
  let over = estimateTokens(messages, tools) - tokensMax
  if (over <= 0) return messages
  const fitting = [...messages]
  const unseen = messages.findLastIndex(({ role }) => role !== "tool") + 1
  for (const [at, message] of messages.entries()) {
    if (over <= 0) return fitting
    if (message.role !== "tool" || at >= unseen) continue
    const cut = { ...message, content: `[${message.content.length} characters cut: no room for them any more]` }
    const won = contentTokens(message) - contentTokens(cut)
    if (won < SHORT_TOKENS) continue
    fitting[at] = cut
    over -= won
  }
  return over <= 0 ? fitting : [...fitting.slice(0, unseen), ...shortened(fitting.slice(unseen), over)]
}

function shortened(results: readonly Message[], over: number): Message[] {
  const total = results.reduce((sum, message) => sum + contentTokens(message), 0)
  const each = Math.floor(Math.max(0, total - over) / Math.max(1, results.length))
  return results.map((message) =>
    message.role === "tool" ? { ...message, content: cutText(message.content, Math.max(SHORT_TOKENS, each)) } : message,
  )
}

function contentTokens(message: Message): number {
  return message.role === "tool" ? estimateTextTokens((message satisfies ToolMessage).content) : 0
}
