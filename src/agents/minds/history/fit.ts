import type { AssistantMessage, Message, ToolCall, UserMessage } from "../../../gateways/messages/message.js"
import { estimateTextTokens, estimateTokens } from "../../../gateways/tokens/estimate-tokens.js"

const AROUND_ALL = estimateTokens([])
/** What texts of a turn are cut to, step by step, in tokens, until it fits. */
const CUTS = [1_000, 400, 150, 60, 20]

/** How many tokens messages take at most, among others. */
export function sizeOf(messages: readonly Message[]): number {
  return estimateTokens(messages) - AROUND_ALL
}

/** Beginning and end of a text, so that it has at most so many tokens; in between it says how much is missing. */
export function cutText(text: string, tokensMax: number): string {
  const tokens = estimateTextTokens(text)
  if (tokens <= tokensMax) return text
  for (let chars = Math.floor((text.length * tokensMax) / tokens); chars > 0; chars = Math.floor(chars * 0.8)) {
    const head = Math.ceil((chars * 2) / 3)
    const cut = `${whole(text.slice(0, head))}\n[${text.length - chars} characters cut]\n${whole(text.slice(text.length - chars + head))}`
    if (estimateTextTokens(cut) <= tokensMax) return cut
  }
  return ""
}

/** Without halves of characters at its ends. */
function whole(text: string): string {
  return text.replace(/^[\udc00-\udfff]/, "").replace(/[\ud800-\udbff]$/, "")
}

/**
 * The messages of a step as they are remembered: without instructions, thoughts and images, and cut so that they take at
 * most so many tokens. Results of tools are cut first, then what was called and said; at last the oldest calls go.
 */
export function sizeDown(messages: readonly Message[], tokensMax: number): Message[] {
  const lean = pairUp(messages.flatMap(leanOf))
  const shorter = CUTS.values()
  for (let now = lean; ; ) {
    if (sizeOf(now) <= tokensMax) return now
    const { value: cut } = shorter.next()
    if (cut === undefined) return fewer(now, tokensMax)
    now = lean.map((message) => cutMessage(message, cut))
  }
}

/** Drops what was said between the first message and the last until the rest fits. */
function fewer(messages: readonly Message[], tokensMax: number): Message[] {
  const [first, ...rest] = messages
  const last = rest.pop()
  while (rest.length > 0) {
    rest.shift()
    while (rest[0]?.role === "tool") rest.shift() // not without its call
    const now = pairUp([first, ...rest, last].filter((message) => message !== undefined))
    if (sizeOf(now) <= tokensMax) return now
  }
  const ends = pairUp([first, last].filter((message) => message !== undefined))
  if (sizeOf(ends) <= tokensMax) return ends
  return ends.slice(0, 1).filter((message) => sizeOf([message]) <= tokensMax)
}

function leanOf(message: Message): Message[] {
  switch (message.role) {
    case "system":
      return []
    case "user":
      return [{ role: "user", content: textOf(message) }]
    case "assistant": {
      const { content, toolCalls } = message
      return [{ role: "assistant", content, ...(toolCalls !== undefined && { toolCalls }) }]
    }
    case "tool":
      return [message]
  }
}

/** The text of a user's message; where there was an image it says so. */
export function textOf({ content }: UserMessage): string {
  if (typeof content === "string") return content
  return content.map((part) => (part.type === "text" ? part.text : "[image]")).join("\n")
}

function cutMessage(message: Message, tokens: number): Message {
  switch (message.role) {
    case "tool":
      return { ...message, content: cutText(message.content, tokens) }
    case "assistant":
      return cutAssistant(message, tokens)
    case "user":
      return { role: "user", content: cutText(textOf(message), tokens * 4) }
    case "system":
      return message
  }
}

function cutAssistant({ toolCalls, ...message }: AssistantMessage, tokens: number): AssistantMessage {
  const content = cutText(message.content, tokens * 4)
  if (toolCalls === undefined) return { ...message, content }
  return { ...message, content, toolCalls: toolCalls.map((call) => cutCall(call, tokens)) }
}

function cutCall({ id, name, arguments: given, malformed }: ToolCall, tokens: number): ToolCall {
  const cut = estimateTextTokens(JSON.stringify(given)) > tokens ? cutValue(given, Math.ceil(tokens / 4)) : given
  const short = estimateTextTokens(JSON.stringify(cut)) > tokens ? { cut: "too long to be remembered" } : cut
  return {
    ...{ id, name, arguments: short as ToolCall["arguments"] },
    ...(malformed !== undefined && { malformed: cutText(malformed, tokens) }),
  }
}

/** JSON with its texts cut to so many tokens each. */
export function cutValue(value: unknown, tokens: number): unknown {
  if (typeof value === "string") return cutText(value, tokens)
  if (Array.isArray(value)) return value.map((item) => cutValue(item, tokens))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, cutValue(inner, tokens)]))
}

/** Providers refuse a result without its call, and a call without its result: what is alone is left out. */
export function pairUp(messages: readonly Message[]): Message[] {
  const paired: Message[] = []
  for (let at = 0; at < messages.length; at++) {
    const message = messages[at]
    if (message === undefined || message.role === "tool") continue
    if (message.role !== "assistant" || message.toolCalls === undefined) {
      paired.push(message)
      continue
    }
    const results = resultsAfter(messages, at)
    const toolCalls = message.toolCalls.filter(({ id }) => results.some((result) => result.toolCallId === id))
    const { toolCalls: _, ...said } = message
    if (toolCalls.length > 0) paired.push({ ...said, toolCalls })
    else if (said.content !== "") paired.push(said)
    paired.push(...results.filter((result) => toolCalls.some(({ id }) => id === result.toolCallId)))
  }
  return paired
}

function resultsAfter(messages: readonly Message[], at: number) {
  const results: Extract<Message, { role: "tool" }>[] = []
  for (const message of messages.slice(at + 1)) {
    if (message.role !== "tool") break
    if (!results.some(({ toolCallId }) => toolCallId === message.toolCallId)) results.push(message)
  }
  return results
}
