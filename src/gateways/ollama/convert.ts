import type { Message as ChatMessage, ChatRequest, Tool } from "ollama"
import { z } from "zod"
import { TerminalError } from "../../errors.js"
import type { Completion, CompletionOptions, CompletionRequest, ObjectRequest, ToolSpec } from "../completion.js"
import { estimatedUsage } from "../http/estimated-usage.js"
import { readReply } from "../http/read-reply.js"
import { toolCallOf } from "../http/tool-arguments.js"
import type { ImageBytes } from "../messages/fetch-image.js"
import type { AssistantMessage, ImageSource, Message, ToolCall, UserMessage } from "../messages/message.js"

/** Ollama takes nothing but an image's bytes. */
type Images = ReadonlyMap<ImageSource, ImageBytes>

/**
 * A chat as Ollama is asked for one, before it is said whether it is streamed. Unless it is told not to, Ollama shortens what
 * does not fit into the model's window, at either end of it, and says nothing. The library does not know of that.
 */
export type Chat = Omit<ChatRequest, "stream"> & { readonly truncate: false; readonly shift: false }

/** A message with the names of tool calls, which newer servers take and the library does not know of. */
type NamedMessage = ChatMessage & { readonly tool_call_id?: string }

const Reply = z.object({
  model: z.string().optional(),
  message: z
    .object({
      content: z.string().nullish(),
      thinking: z.string().nullish(),
      tool_calls: z
        .array(
          z.object({ id: z.string().optional(), function: z.object({ name: z.string(), arguments: z.unknown() }) }),
        )
        .nullish(),
    })
    .optional(),
  done: z.boolean().optional(),
  done_reason: z.string().optional(),
  prompt_eval_count: z.int().min(0).optional(),
  eval_count: z.int().min(0).optional(),
})
type Reply = z.infer<typeof Reply>

/** What Ollama is asked. @throws TerminalError `LLM_UNSUPPORTED` */
export function toChat(
  request: CompletionRequest | ObjectRequest,
  keepAlive: string | number | undefined,
  images: Images,
): Chat {
  const { model, messages, tools = [], toolChoice, options } = request
  const offered = toolChoice === "none" ? [] : tools
  if (toolChoice === "required") throw noForcing(model)
  const schema = "schema" in request ? request.schema : undefined
  // A model that is held to a schema can write nothing else, so no tool call either: it is told the schema instead.
  const told = schema !== undefined && offered.length > 0 ? [toldSchema(schema)] : []
  return {
    ...{ model, truncate: false, shift: false },
    messages: [...told, ...messages.map((message) => toMessage(message, images))],
    ...(offered.length > 0 && { tools: offered.map(toTool) }),
    ...(schema !== undefined && told.length === 0 && { format: schema }),
    ...(keepAlive !== undefined && { keep_alive: keepAlive }),
    ...toThink(options.reasoningEffort),
    options: toOptions(options),
  }
}

function noForcing(model: string): TerminalError {
  return new TerminalError(
    `Cannot make the model "${model}" call a tool: Ollama offers tools, and leaves the choice to the model; ask for it in words, with toolChoice "auto"`,
    { code: "LLM_UNSUPPORTED", details: { model, toolChoice: "required" } },
  )
}

function toldSchema(schema: ObjectRequest["schema"]): ChatMessage {
  const content = `When you answer without calling a tool, answer with JSON that fits this JSON schema, and nothing else: ${JSON.stringify(schema)}`
  return { role: "system", content }
}

function toMessage(message: Message, images: Images): NamedMessage {
  if (message.role === "system") return message
  if (message.role === "user") return toUser(message, images)
  if (message.role === "assistant") return toAssistant(message)
  const { content, name, toolCallId } = message
  return { role: "tool", content, tool_name: name, tool_call_id: toolCallId }
}

function toUser({ content }: UserMessage, images: Images): ChatMessage {
  if (typeof content === "string") return { role: "user", content }
  const text = content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("")
  // As bytes: the library takes a text for the path of a file, which it reads if there is one.
  const bytes = content.flatMap((part) => {
    const image = part.type === "image" ? images.get(part.image) : undefined
    return image === undefined ? [] : [Buffer.from(image.data, "base64")]
  })
  return { role: "user", content: text, ...(bytes.length > 0 && { images: bytes }) }
}

function toAssistant({ content, reasoning, toolCalls = [] }: AssistantMessage): ChatMessage {
  if (toolCalls.length === 0) return { role: "assistant", content }
  const calls = toolCalls.map(({ id, name, arguments: given }) => ({ id, function: { name, arguments: given } }))
  // Thoughts that led to a call belong to the turn that it is part of; older ones would only fill the window.
  return { role: "assistant", content, ...(reasoning !== undefined && { thinking: reasoning }), tool_calls: calls }
}

function toTool({ name, description, parameters }: ToolSpec): Tool {
  return { type: "function", function: { name, description, parameters: { ...parameters } } }
}

function toThink(effort: CompletionOptions["reasoningEffort"]): Pick<ChatRequest, "think"> {
  if (effort === undefined) return {}
  if (effort === "none") return { think: false }
  return { think: effort === "minimal" ? "low" : effort }
}

function toOptions(options: CompletionOptions): NonNullable<ChatRequest["options"]> {
  const { temperature, maxTokens, contextTokens, seed, stop } = options
  return {
    ...(temperature !== undefined && { temperature }),
    ...(maxTokens !== undefined && { num_predict: maxTokens }),
    ...(contextTokens !== undefined && { num_ctx: contextTokens }),
    ...(seed !== undefined && { seed }),
    ...(stop !== undefined && { stop }),
  }
}

/** What is new in a piece of an answer. */
export interface Piece {
  readonly text: string
  readonly reasoning: string
  readonly calls: readonly ToolCall[]
  readonly done: boolean
}

/** Puts an answer together, from one piece or many. */
export class Answer {
  readonly #request: CompletionRequest
  readonly #calls: ToolCall[] = []
  readonly #takenIds: Set<string>
  #text = ""
  #reasoning = ""
  #last: Reply = {}

  constructor(request: CompletionRequest) {
    this.#request = request
    this.#takenIds = new Set(request.messages.flatMap(idsOf))
  }

  /** @throws Error when it is no piece of an answer */
  add(piece: unknown): Piece {
    const reply = readReply(Reply, piece)
    const { content, thinking, tool_calls } = reply.message ?? {}
    const calls = (tool_calls ?? []).map(({ id, function: called }) => this.#call(id, called))
    this.#text += content ?? ""
    this.#reasoning += thinking ?? ""
    this.#calls.push(...calls)
    this.#last = { ...this.#last, ...reply }
    return { text: content ?? "", reasoning: thinking ?? "", calls, done: reply.done === true }
  }

  #call(given: string | undefined, called: { readonly name: string; readonly arguments?: unknown }): ToolCall {
    const id = given === undefined || given === "" || this.#takenIds.has(given) ? this.#freeId() : given
    this.#takenIds.add(id)
    const { name, arguments: args = "" } = called
    return toolCallOf(id, name, typeof args === "string" ? args : JSON.stringify(args))
  }

  /** Older servers name no calls. The names are counted on from the conversation's, so that asking again gives the same. */
  #freeId(): string {
    let n = this.#request.messages.length
    while (this.#takenIds.has(`call_${n}`)) n++
    return `call_${n}`
  }

  completion(): Completion {
    const { model = this.#request.model, prompt_eval_count, eval_count } = this.#last
    const calls = this.#calls
    const message: AssistantMessage = {
      role: "assistant",
      content: this.#text,
      ...(this.#reasoning !== "" && { reasoning: this.#reasoning }),
      ...(calls.length > 0 && { toolCalls: calls }),
    }
    // What the server had in its cache of prompts it may leave uncounted.
    const counted = prompt_eval_count !== undefined && eval_count !== undefined
    return {
      message,
      finishReason: this.#finishReason(),
      usage: counted
        ? { inputTokens: prompt_eval_count, outputTokens: eval_count }
        : estimatedUsage(this.#request, message),
      ...(!counted && { usageEstimated: true }),
      model,
    }
  }

  #finishReason(): Completion["finishReason"] {
    if (this.#last.done_reason === "length") return "length"
    return this.#calls.length > 0 ? "tool-calls" : "stop"
  }
}

function idsOf(message: Message): string[] {
  return message.role === "assistant" ? (message.toolCalls ?? []).map(({ id }) => id) : []
}
