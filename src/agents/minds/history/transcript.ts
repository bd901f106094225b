import type { Message } from "../../../gateways/messages/message.js"
import { estimateTextTokens } from "../../../gateways/tokens/estimate-tokens.js"
import type { Turn } from "./conversation.js"
import { cutText, textOf } from "./fit.js"

const CUTS = [400, 150, 60, 20]

/**
 * Turns as a text, for whoever makes notes on them: at most so many tokens. Long texts are cut first; when that is not
 * enough, the beginning is left out.
 */
export function transcriptOf(turns: readonly Pick<Turn, "at" | "type" | "messages">[], tokensMax: number): string {
  let text = ""
  for (const cut of CUTS) {
    text = turns.map((turn) => turnText(turn, cut)).join("\n\n")
    if (estimateTextTokens(text) <= tokensMax) return text
  }
  while (text !== "" && estimateTextTokens(text) > tokensMax) text = text.slice(Math.ceil(text.length / 8))
  return text
}

function turnText({ at, type, messages }: Pick<Turn, "at" | "type" | "messages">, cut: number): string {
  return [`## ${type} at ${at}`, ...messages.flatMap((message) => lines(message, cut))].join("\n")
}

/** A message as it stands in a transcript. */
function lines(message: Message, cut: number): string[] {
  switch (message.role) {
    case "system":
      return []
    case "user":
      return [`event: ${cutText(textOf(message), cut * 2)}`]
    case "tool":
      return [`result of ${message.name}: ${cutText(message.content, cut)}`]
    case "assistant": {
      const calls = message.toolCalls ?? []
      const called = calls.map(({ name, arguments: given }) => `called ${name}: ${cutText(JSON.stringify(given), cut)}`)
      return message.content === "" ? called : [`said: ${cutText(message.content, cut * 2)}`, ...called]
    }
  }
}
