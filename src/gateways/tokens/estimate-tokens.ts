import type { ToolSpec } from "../completion.js"
import type { Message, UserMessage } from "../messages/message.js"

/**
 * What an image counts as, whatever its size: providers scale large ones down, to some 250 to 1,600 tokens. (Some small
 * models count more on their bill: there the budget is corrected when the answer comes.)
 */
export const IMAGE_TOKENS = 2_000

/** What a provider puts around a message, a call or a tool. */
const AROUND = 6
/** What it puts around all of them. */
const AROUND_ALL = 12

/**
 * How many tokens a request has at most, or nearly so: an estimate from above, for any provider's tokenizer, that loads
 * nothing and costs some 5 ns a character. Text is estimated some 30 % too high, code and JSON more.
 *
 * @example estimateTokens([user("How are you?")])
 */
export function estimateTokens(messages: readonly Message[], tools: readonly ToolSpec[] = []): number {
  let tokens = AROUND_ALL
  for (const message of messages) tokens += AROUND + messageTokens(message)
  for (const { name, description, parameters } of tools) {
    tokens += AROUND + textTokens(name) + textTokens(description) + textTokens(JSON.stringify(parameters))
  }
  return tokens
}

/** How many tokens a text has at most, or nearly so. */
export function estimateTextTokens(text: string): number {
  return textTokens(text)
}

function messageTokens(message: Message): number {
  if (message.role === "user") return userTokens(message)
  let tokens = textTokens(message.content)
  if (message.role === "tool") return tokens + textTokens(message.name) + textTokens(message.toolCallId)
  if (message.role === "system") return tokens
  if (message.reasoning !== undefined) tokens += textTokens(message.reasoning)
  // mostly signatures, which are bytes and no text
  if (message.provider !== undefined) tokens += Math.ceil((JSON.stringify(message.provider.data)?.length ?? 0) / 4)
  for (const { id, name, arguments: given, malformed } of message.toolCalls ?? []) {
    tokens += AROUND + textTokens(id) + textTokens(name) + textTokens(malformed ?? JSON.stringify(given))
  }
  return tokens
}

function userTokens({ content }: UserMessage): number {
  if (typeof content === "string") return textTokens(content)
  let tokens = 0
  for (const part of content) tokens += part.type === "text" ? textTokens(part.text) : IMAGE_TOKENS
  return tokens
}

const SPACE = 0
const LOWER = 1
const UPPER = 2
const DIGIT = 3
const SIGN = 4
const CLASSES = Uint8Array.from({ length: 128 }, (_, code) => classOf(String.fromCharCode(code)))

function classOf(character: string): number {
  if (/\s/.test(character)) return SPACE
  if (/[a-z]/.test(character)) return LOWER
  if (/[A-Z]/.test(character)) return UPPER
  return /\d/.test(character) ? DIGIT : SIGN
}

/** A word of so many letters is one token; a longer one has another for each three letters more. */
const WORD = 5
const PIECE = 3
/** The same for what is no word but bytes in letters (base64, hex): mixed case, digits between letters. */
const MIXED = 2

/**
 * Tokenizers cut a text into words first, and long words into pieces. So a run of letters counts one token, and more when
 * it is long; each digit and sign counts one, a run of white space one when it is more than the space before a word,
 * anything beyond ASCII one or one and a half.
 */
function textTokens(text: string): number {
  let tokens = 0
  let last = SPACE
  let run = 0
  let mixed = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code > 127) {
      tokens += code < 0x800 ? 1 : 1.5
      last = SIGN
      continue
    }
    const kind = CLASSES[code] ?? SIGN
    const capital = kind === LOWER && last === UPPER && run === 1
    if (kind === LOWER || kind === UPPER) {
      mixed ||= last === DIGIT || (kind === LOWER && last === UPPER && run > 1)
      run = kind === last || capital ? run + 1 : 1
      const word = mixed ? MIXED : WORD
      if (run === 1 || (run > word && (run - word) % (mixed ? MIXED : PIECE) === 1)) tokens += 1
    } else if (kind === SPACE) {
      mixed = false
      run = kind === last ? run + 1 : 1
      if (run === 2 || (run === 1 && code !== 32)) tokens += 1
    } else tokens += 1
    last = kind
  }
  return Math.ceil(tokens)
}
