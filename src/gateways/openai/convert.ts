import type OpenAI from "openai"
import type {
  Completion,
  CompletionRequest,
  Embeddings,
  EmbedRequest,
  FinishReason,
  ObjectRequest,
  ToolSpec,
  Usage,
} from "../completion.js"
import type { OfferedModel } from "../gateway.js"
import { estimatedUsage, tokensOf } from "../http/estimated-usage.js"
import { toolCallOf } from "../http/tool-arguments.js"
import type { LoadedImages } from "../messages/load-image.js"
import type { AssistantMessage, ImagePart, Message, TextPart, ToolCall } from "../messages/message.js"
import { isStrict } from "./strict-schema.js"

/** Everything that OpenAI's words are translated to and from is in this file. */

type Body = OpenAI.ChatCompletionCreateParamsNonStreaming
type Parameter = OpenAI.ChatCompletionMessageParam
type RawUsage = OpenAI.CompletionUsage

/** The request as OpenAI words it. */
export function toBody(
  request: CompletionRequest | ObjectRequest,
  images: LoadedImages,
  maxTokensField: "max_completion_tokens" | "max_tokens",
): Body {
  const { temperature, maxTokens, seed, stop, reasoningEffort } = request.options
  const tools = request.tools ?? []
  return {
    model: request.model,
    messages: request.messages.map((message) => toMessage(message, images)),
    ...(tools.length > 0 && { tools: tools.map(toTool) }),
    ...(tools.length > 0 && request.toolChoice !== undefined && { tool_choice: request.toolChoice }),
    ...("schema" in request && { response_format: toFormat(request) }),
    ...(temperature !== undefined && { temperature }),
    ...(maxTokens !== undefined && { [maxTokensField]: maxTokens }),
    ...(seed !== undefined && { seed }),
    ...(stop !== undefined && { stop }),
    ...(reasoningEffort !== undefined && { reasoning_effort: reasoningEffort }),
  }
}

function toMessage(message: Message, images: LoadedImages): Parameter {
  switch (message.role) {
    case "system":
      return { role: "system", content: message.content }
    case "user":
      return { role: "user", content: toContent(message.content, images) }
    case "assistant":
      return toAssistant(message)
    case "tool":
      return { role: "tool", tool_call_id: message.toolCallId, content: message.content }
  }
}

function toContent(content: string | readonly (TextPart | ImagePart)[], images: LoadedImages) {
  if (typeof content === "string") return content
  return content.map((part): OpenAI.ChatCompletionContentPart => {
    if (part.type === "text") return { type: "text", text: part.text }
    const image = images.get(part.image)
    if (image === undefined) throw new TypeError("An image of the request was not loaded")
    const url = "url" in image ? image.url : `data:${image.mediaType};base64,${image.data}`
    return { type: "image_url", image_url: { url } }
  })
}

function toAssistant({ content, toolCalls = [] }: AssistantMessage): OpenAI.ChatCompletionAssistantMessageParam {
  if (toolCalls.length === 0) return { role: "assistant", content }
  return { role: "assistant", content: content === "" ? null : content, tool_calls: toolCalls.map(toToolCall) }
}

/** What was malformed is not sent back: servers that put arguments into a template refuse what is no JSON. */
function toToolCall({ id, name, arguments: given }: ToolCall): OpenAI.ChatCompletionMessageFunctionToolCall {
  return { id, type: "function", function: { name, arguments: JSON.stringify(given) } }
}

function toTool({ name, description, parameters }: ToolSpec): OpenAI.ChatCompletionFunctionTool {
  const { $schema: _, ...schema } = parameters
  return { type: "function", function: { name, description, parameters: schema } }
}

function toFormat({ schemaName, schema: given }: ObjectRequest): OpenAI.ResponseFormatJSONSchema {
  const { $schema: _, ...schema } = given
  return { type: "json_schema", json_schema: { name: schemaName, schema, strict: isStrict(schema) } }
}

/** An answer, in one piece or gathered from a stream. Fields that only compatible servers send are among them. */
export interface RawAnswer {
  readonly id?: string | undefined
  readonly model?: string | undefined
  readonly content: string
  readonly refusal?: string | null | undefined
  readonly reasoning?: string | undefined
  readonly toolCalls: readonly RawToolCall[]
  readonly finishReason: string | null | undefined
  readonly usage?: RawUsage | null | undefined
}

export interface RawToolCall {
  readonly id: string
  readonly name: string
  readonly arguments: string
}

type WithReasoning = { readonly reasoning_content?: unknown; readonly reasoning?: unknown }

/** What vLLM, llama.cpp, DeepSeek and OpenRouter tell of the model's thoughts. OpenAI itself does not. */
export function reasoningOf(message: object): string | undefined {
  const { reasoning_content, reasoning } = message as WithReasoning
  return [reasoning_content, reasoning].find((text): text is string => typeof text === "string" && text !== "")
}

/** Of an answer or a piece of one: text, which some servers (Mistral) send in parts. */
export function contentOf(content: unknown): string {
  if (typeof content === "string") return content
  if (!Array.isArray(content)) return ""
  return content.map((part: { text?: unknown } | null) => (typeof part?.text === "string" ? part.text : "")).join("")
}

/** Reads an answer that came in one piece; `undefined` when it is none. */
export function readAnswer(answer: unknown): RawAnswer | undefined {
  const { choices, id, model, usage } = (
    typeof answer === "object" && answer !== null ? answer : {}
  ) as Partial<OpenAI.ChatCompletion>
  const choice = choices?.[0]
  if (typeof choice?.message !== "object" || choice.message === null) return undefined
  const { content, refusal, tool_calls: calls } = choice.message
  return {
    ...{ id, model, usage, refusal },
    content: contentOf(content),
    finishReason: choice.finish_reason,
    reasoning: reasoningOf(choice.message),
    toolCalls: (calls ?? []).flatMap((call, index) => (call.type === "custom" ? [] : [readToolCall(call, index)])),
  }
}

function readToolCall({ id, function: called }: OpenAI.ChatCompletionMessageFunctionToolCall, index: number) {
  // Some servers send the arguments as an object, and some no id.
  const { name, arguments: given } = called
  return { id: id || `call_${index}`, name, arguments: typeof given === "string" ? given : JSON.stringify(given ?? {}) }
}

/** The answer in our words. */
export function toCompletion(raw: RawAnswer, request: CompletionRequest): Completion {
  const toolCalls = raw.toolCalls.map((call) => toolCallOf(call.id, call.name, call.arguments))
  const refused = typeof raw.refusal === "string" && raw.refusal !== ""
  const message: AssistantMessage = {
    role: "assistant",
    content: raw.content || (refused ? (raw.refusal ?? "") : ""),
    ...(raw.reasoning !== undefined && { reasoning: raw.reasoning }),
    ...(toolCalls.length > 0 && { toolCalls }),
  }
  const usage = toUsage(raw.usage)
  return {
    message,
    finishReason: refused ? "filtered" : toFinishReason(raw.finishReason, toolCalls.length > 0),
    usage: usage ?? estimatedUsage(request, message),
    ...(usage === undefined && { usageEstimated: true }),
    model: raw.model || request.model,
    ...(raw.id && { id: raw.id }),
  }
}

/** Some servers say `stop` also where the answer asks for tools. */
function toFinishReason(reason: string | null | undefined, withTools: boolean): FinishReason {
  if (reason === "length") return "length"
  if (reason === "content_filter") return "filtered"
  return withTools ? "tool-calls" : "stop"
}

function toUsage(usage: RawUsage | null | undefined): Usage | undefined {
  if (!Number.isInteger(usage?.prompt_tokens)) return undefined
  const { prompt_tokens, completion_tokens, prompt_tokens_details, completion_tokens_details } = usage as RawUsage
  const cachedTokens = prompt_tokens_details?.cached_tokens
  const reasoningTokens = completion_tokens_details?.reasoning_tokens
  return {
    inputTokens: prompt_tokens,
    outputTokens: completion_tokens ?? 0,
    ...(cachedTokens && { cachedTokens }),
    ...(reasoningTokens && { reasoningTokens }),
  }
}

/** Asks for numbers: the SDK would ask for base64, and break what a server sends instead. */
export function toEmbedBody({ model, texts, dimensions }: EmbedRequest): OpenAI.EmbeddingCreateParams {
  return { model, input: [...texts], encoding_format: "float", ...(dimensions !== undefined && { dimensions }) }
}

/** Reads vectors, in the order of the texts; `undefined` when there is not one for each. */
export function readEmbeddings(
  answer: unknown,
  { model, texts }: Pick<EmbedRequest, "model" | "texts">,
): Embeddings | undefined {
  const { data, usage, model: answered } = (answer ?? {}) as Partial<OpenAI.CreateEmbeddingResponse>
  if (!Array.isArray(data) || data.length !== texts.length) return undefined
  const vectors = [...data].sort((a, b) => a.index - b.index).map(({ embedding }) => toVector(embedding))
  const estimate = tokensOf(texts.reduce((sum, text) => sum + text.length, 0))
  return {
    vectors,
    usage: { inputTokens: usage?.prompt_tokens ?? estimate, outputTokens: 0 },
    model: answered || model,
  }
}

/** Numbers are what is asked for; some servers send the other form, 32-bit floats in base64, all the same. */
function toVector(embedding: readonly number[] | string): number[] {
  if (typeof embedding !== "string") return [...embedding]
  const bytes = Buffer.from(embedding, "base64")
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4))
}

/** vLLM says how much fits into a model; OpenAI itself does not. */
export function readModels(answer: unknown): readonly OfferedModel[] | undefined {
  const { data } = (answer ?? {}) as { data?: unknown }
  if (!Array.isArray(data)) return undefined
  return data.map(({ id, max_model_len: contextTokens }: { id: string; max_model_len?: unknown }) => ({
    name: id,
    ...(typeof contextTokens === "number" && { contextTokens }),
  }))
}
