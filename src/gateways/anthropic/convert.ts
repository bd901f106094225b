import type {
  ContentBlockParam,
  MessageCreateParamsNonStreaming,
  MessageParam,
  Tool,
} from "@anthropic-ai/sdk/resources/messages"
import { z } from "zod"
import type {
  Completion,
  CompletionOptions,
  CompletionRequest,
  FinishReason,
  JsonSchema,
  ObjectRequest,
  Usage,
} from "../completion.js"
import { estimatedUsage } from "../http/estimated-usage.js"
import { toolCallOf } from "../http/tool-arguments.js"
import type { LoadedImages } from "../messages/load-image.js"
import type { AssistantMessage, Message, ToolMessage, UserMessage } from "../messages/message.js"
import { generationOf, toThinking } from "./generation.js"
import { outputSchema } from "./output-schema.js"
import { Block, keptOf, restored, textBlock, toolUse, wireId } from "./thoughts.js"

/** What Anthropic is asked. The SDK does not know `temperature` any more. */
export type Params = MessageCreateParamsNonStreaming & { readonly temperature?: number }

/** What Anthropic is asked, and under which tool's name the answer comes where it is made to be one tool's arguments. */
export interface Asking {
  readonly params: Params
  readonly headers: Readonly<Record<string, string>>
  readonly answerTool?: AnswerTool
}

interface AnswerTool {
  readonly name: string
  /** Arguments are objects: any other answer is put into a field `value`. */
  readonly wrapped: boolean
}

/** Makes a request of ours one of Anthropic's. @throws TerminalError `LLM_OPTION` */
export function toParams(request: CompletionRequest | ObjectRequest, images: LoadedImages): Asking {
  const { model, messages, tools = [], toolChoice, options } = request
  const { stop } = options
  const { temperature, headers } = toTemperature(model, options)
  const system = messages.flatMap((message) => (message.role === "system" ? [message.content] : [])).join("\n\n")
  const params: Params = {
    model,
    messages: toMessages(messages, model, images),
    ...toThinking(model, options),
    ...(system !== "" && { system }),
    ...(temperature !== undefined && { temperature }),
    ...(stop !== undefined && { stop_sequences: stop }),
    ...(tools.length > 0 && { tools: tools.map(toTool) }),
    ...(tools.length > 0 && toolChoice !== undefined && { tool_choice: { type: CHOICES[toolChoice] } }),
  }
  return { headers, ...("schema" in request ? asObject(request, params) : { params }) }
}

/** The version of the API, the one before that of the SDK, that takes a temperature. */
const OLDER_VERSION = { "anthropic-version": "2023-06-01" }

/** Newer models refuse any temperature: for them it is left out, as a seed is for all. */
function toTemperature(model: string, { temperature }: CompletionOptions) {
  if (temperature === undefined || !generationOf(model).temperature) return { headers: {} }
  return { temperature, headers: OLDER_VERSION }
}

const CHOICES = { auto: "auto", none: "none", required: "any" } as const

/**
 * Holds the answer to a schema by Anthropic's own format where model and schema allow it. Else the answer is asked for as
 * the arguments of a tool that the model has to call, unless it calls one of the others.
 */
function asObject(
  { schema, schemaName, tools = [], toolChoice }: ObjectRequest,
  params: Params,
): Omit<Asking, "headers"> {
  const { output_config, thinking, ...rest } = params
  const format = generationOf(params.model).outputFormat ? outputSchema(schema) : undefined
  if (format !== undefined) {
    return {
      params: { ...params, output_config: { ...output_config, format: { type: "json_schema", schema: format } } },
    }
  }
  const taken = new Set(tools.map(({ name }) => name))
  const name = taken.has(schemaName) ? `${schemaName}_answer` : schemaName
  const wrapped = schema.type !== "object"
  const answer = toTool({ name, description: "Gives the final answer.", parameters: wrapped ? wrap(schema) : schema })
  const choosing = tools.length > 0 && toolChoice !== "none"
  return {
    // A model that must call a tool cannot think before it does.
    params: {
      ...rest,
      tools: choosing ? [...tools.map(toTool), answer] : [answer],
      tool_choice: choosing ? { type: "any" } : { type: "tool", name },
    },
    answerTool: { name, wrapped },
  }
}

function wrap({ $defs, $schema: _, ...schema }: JsonSchema): JsonSchema {
  const object = { type: "object", properties: { value: schema }, required: ["value"] }
  return $defs === undefined ? object : { ...object, $defs }
}

function toTool({ name, description, parameters }: NonNullable<CompletionRequest["tools"]>[number]): Tool {
  return { name, description, input_schema: { ...parameters, type: "object" } }
}

function toMessages(messages: readonly Message[], model: string, images: LoadedImages): MessageParam[] {
  const params: MessageParam[] = []
  let results: ContentBlockParam[] | undefined
  for (const message of messages) {
    if (message.role === "system") continue
    if (message.role === "tool") {
      // All results of one turn belong into one message.
      if (results === undefined) {
        results = []
        params.push({ role: "user", content: results })
      }
      results.push(toResult(message))
      continue
    }
    results = undefined
    const content = message.role === "user" ? toUser(message, images) : toAssistant(message, model)
    // Anthropic refuses messages that say nothing; a model may have said nothing.
    if (message.role === "user" || content.length > 0) params.push({ role: message.role, content })
  }
  return params
}

function toResult({ toolCallId, content, isError = false }: ToolMessage): ContentBlockParam {
  return { type: "tool_result", tool_use_id: wireId(toolCallId), content, ...(isError && { is_error: true }) }
}

function toUser({ content }: UserMessage, images: LoadedImages): string | ContentBlockParam[] {
  if (typeof content === "string") return content
  return content.flatMap((part): ContentBlockParam[] => {
    if (part.type === "text") return textBlock(part.text)
    const image = images.get(part.image)
    if (image === undefined) return []
    if ("url" in image) return [{ type: "image", source: { type: "url", url: image.url } }]
    const media_type = image.mediaType as "image/png"
    return [{ type: "image", source: { type: "base64", media_type, data: image.data } }]
  })
}

function toAssistant(message: AssistantMessage, model: string): ContentBlockParam[] {
  const { content, toolCalls = [] } = message
  return restored(message, model) ?? [...textBlock(content), ...toolCalls.map(toolUse)]
}

const Count = z.int().min(0).nullish()
/** As far as it is told: a stream tells it in two pieces. */
export const UsageRow = z.object({
  input_tokens: Count,
  output_tokens: Count,
  cache_read_input_tokens: Count,
  cache_creation_input_tokens: Count,
  output_tokens_details: z.object({ thinking_tokens: Count }).nullish(),
})
export type UsageRow = z.infer<typeof UsageRow>

/** A whole answer. Blocks of kinds that nobody asked for are left out. */
export const Reply = z.object({
  id: z.string().optional(),
  model: z.string().optional(),
  content: z.array(z.union([Block, z.object({ type: z.string() })])),
  stop_reason: z.string().nullish(),
  usage: UsageRow.optional(),
})
export type Reply = z.infer<typeof Reply>

/** Makes an answer of Anthropic's one of ours. */
export function toCompletion(reply: Reply, request: CompletionRequest, answerTool?: AnswerTool): Completion {
  const known = reply.content.flatMap((block) => Block.safeParse(block).data ?? [])
  const { blocks, finishReason } = unwrapped(known, finishReasonOf(reply.stop_reason), answerTool)
  const calls = blocks.flatMap((block) =>
    block.type === "tool_use" ? [toolCallOf(block.id, block.name, textOf(block.input))] : [],
  )
  const thoughts = blocks.flatMap((block) => (block.type === "thinking" ? [block.thinking] : [])).join("\n\n")
  const message: AssistantMessage = {
    role: "assistant",
    content: blocks.map((block) => (block.type === "text" ? block.text : "")).join(""),
    ...(thoughts !== "" && { reasoning: thoughts }),
    ...(calls.length > 0 && { toolCalls: calls }),
    ...keptOf(blocks, request.model),
  }
  const usage = toUsage(reply.usage)
  return {
    ...{ message, finishReason },
    usage: usage ?? estimatedUsage(request, message),
    ...(usage === undefined && { usageEstimated: true }),
    model: reply.model ?? request.model,
    ...(reply.id !== undefined && { id: reply.id }),
  }
}

/** Where the answer is a tool's arguments, makes it the text that it stands for. */
function unwrapped(blocks: Block[], finishReason: FinishReason, answerTool: AnswerTool | undefined) {
  if (answerTool === undefined) return { blocks, finishReason }
  const others = blocks.filter((block) => block.type !== "tool_use" || block.name !== answerTool.name)
  const answer = blocks.find((block) => block.type === "tool_use" && block.name === answerTool.name)
  // A model that calls other tools as well wants to know their results first.
  if (answer?.type !== "tool_use" || others.some(({ type }) => type === "tool_use")) {
    return { blocks: others, finishReason }
  }
  const { input } = answer
  const value = answerTool.wrapped && isRecord(input) && "value" in input ? input.value : input
  const text: Block = {
    type: "text",
    text: typeof value === "string" && !answerTool.wrapped ? value : JSON.stringify(value),
  }
  return { blocks: [text], finishReason: finishReason === "tool-calls" ? ("stop" as const) : finishReason }
}

function finishReasonOf(reason: string | null | undefined): FinishReason {
  if (reason === "tool_use") return "tool-calls"
  if (reason === "max_tokens" || reason === "model_context_window_exceeded") return "length"
  return reason === "refusal" ? "filtered" : "stop"
}

/** Anthropic counts what it read from its cache, and wrote to it, beside the other input. */
function toUsage(row: UsageRow | undefined): Usage | undefined {
  if (row?.input_tokens == null || row.output_tokens == null) return undefined
  const { input_tokens, output_tokens, cache_read_input_tokens, cache_creation_input_tokens } = row
  const reasoning = row.output_tokens_details?.thinking_tokens
  return {
    inputTokens: input_tokens + (cache_read_input_tokens ?? 0) + (cache_creation_input_tokens ?? 0),
    outputTokens: output_tokens,
    ...(cache_read_input_tokens != null && { cachedTokens: cache_read_input_tokens }),
    ...(reasoning != null && { reasoningTokens: reasoning }),
  }
}

const textOf = (input: unknown): string => (typeof input === "string" ? input : JSON.stringify(input ?? {}))

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
