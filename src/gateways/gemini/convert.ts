import type {
  Content,
  FunctionCallingConfigMode,
  FunctionDeclaration,
  GenerateContentConfig,
  GenerateContentParameters,
  Part,
} from "@google/genai"
import { z } from "zod"
import type {
  Completion,
  CompletionOptions,
  CompletionRequest,
  FinishReason,
  ObjectRequest,
  ToolSpec,
  Usage,
} from "../completion.js"
import { estimatedUsage } from "../http/estimated-usage.js"
import type { ImageBytes } from "../messages/fetch-image.js"
import type { AssistantMessage, ImageSource, Message, ToolCall, ToolMessage, UserMessage } from "../messages/message.js"
import { generationOf, toThinking } from "./generation.js"
import { plainSchema } from "./plain-schema.js"

const PROVIDER = "gemini"

/** Gemini takes nothing but an image's bytes. */
type Images = ReadonlyMap<ImageSource, ImageBytes>

/** Makes a request of ours one of Gemini's. */
export function toParams(
  request: CompletionRequest | ObjectRequest,
  images: Images,
  abortSignal: AbortSignal,
): GenerateContentParameters {
  const { model, messages, tools = [], toolChoice, options } = request
  const system = messages.flatMap((message) => (message.role === "system" ? [message.content] : []))
  const object = "schema" in request ? asObject(request) : {}
  const systems = object.told === undefined ? system : [...system, object.told]
  return {
    model,
    contents: toContents(messages, model, images),
    config: {
      abortSignal,
      // One request is one request: neither tools of its own nor a second one that goes on where the first ended.
      ...{ automaticFunctionCalling: { disable: true }, automaticContinuation: false },
      ...(systems.length > 0 && { systemInstruction: { parts: systems.map((text) => ({ text })) } }),
      ...toOptions(options),
      ...toThinking(model, options),
      ...(tools.length > 0 && { tools: [{ functionDeclarations: tools.map(toTool) }] }),
      ...(tools.length > 0 && toolChoice !== undefined && toChoice(toolChoice)),
      ...object.config,
    },
  }
}

/** Older models that may call tools cannot be held to a schema in the same request: they are told the schema instead. */
function asObject(request: ObjectRequest): { readonly config?: GenerateContentConfig; readonly told?: string } {
  const { model, schema, tools = [], toolChoice } = request
  const responseJsonSchema = plainSchema(schema)
  if (tools.length === 0 || toolChoice === "none" || generationOf(model).schemaWithTools) {
    return { config: { responseMimeType: "application/json", responseJsonSchema } }
  }
  return {
    told: `When you answer without calling a tool, answer with JSON that fits this JSON schema, and nothing else: ${JSON.stringify(schema)}`,
  }
}

function toOptions({ temperature, maxTokens, seed, stop }: CompletionOptions): GenerateContentConfig {
  return {
    ...(temperature !== undefined && { temperature }),
    ...(maxTokens !== undefined && { maxOutputTokens: maxTokens }),
    ...(seed !== undefined && { seed }),
    ...(stop !== undefined && { stopSequences: stop }),
  }
}

function toTool({ name, description, parameters }: ToolSpec): FunctionDeclaration {
  return { name, description, parametersJsonSchema: plainSchema(parameters) }
}

const MODES = { auto: "AUTO", none: "NONE", required: "ANY" }

function toChoice(choice: keyof typeof MODES): GenerateContentConfig {
  return { toolConfig: { functionCallingConfig: { mode: MODES[choice] as FunctionCallingConfigMode } } }
}

function toContents(messages: readonly Message[], model: string, images: Images): Content[] {
  const issued = new Set(messages.flatMap(issuedIds))
  const contents: Content[] = []
  let results: Part[] | undefined
  for (const message of messages) {
    if (message.role === "system") continue
    if (message.role === "tool") {
      // All results of one turn belong into one content.
      if (results === undefined) {
        results = []
        contents.push({ role: "user", parts: results })
      }
      results.push(toResult(message, issued))
      continue
    }
    results = undefined
    if (message.role === "user") contents.push({ role: "user", parts: toUser(message, images) })
    else {
      const parts = toAssistant(message, model, issued)
      // Gemini refuses contents without parts; a model may have said nothing.
      if (parts.length > 0) contents.push({ role: "model", parts })
    }
  }
  return contents
}

/** Calls are named only where Gemini itself has named them. */
function toResult({ toolCallId, name, content, isError }: ToolMessage, issued: ReadonlySet<string>): Part {
  const response = isError === true ? { error: content } : { output: content }
  return { functionResponse: { ...(issued.has(toolCallId) && { id: toolCallId }), name, response } }
}

function toUser({ content }: UserMessage, images: Images): Part[] {
  if (typeof content === "string") return [{ text: content }]
  return content.flatMap((part): Part[] => {
    if (part.type === "text") return part.text === "" ? [] : [{ text: part.text }]
    const image = images.get(part.image)
    return image === undefined ? [] : [{ inlineData: { mimeType: image.mediaType, data: image.data } }]
  })
}

/**
 * What goes back to Gemini with a message: the signatures, and what they stood at. Texts stand by their length and calls by
 * their id: a message that somebody has changed since fits no more.
 */
const Kept = z.object({
  model: z.string(),
  parts: z.array(
    z.union([
      z.object({ text: z.int().min(0), signature: z.string().optional() }),
      z.object({ call: z.string(), signature: z.string().optional(), issued: z.boolean().optional() }),
    ]),
  ),
})
type Kept = z.infer<typeof Kept>

function keptIn({ provider }: AssistantMessage): Kept | undefined {
  return provider?.name === PROVIDER ? Kept.safeParse(provider.data).data : undefined
}

function issuedIds(message: Message): string[] {
  if (message.role !== "assistant") return []
  return (keptIn(message)?.parts ?? []).flatMap((part) => ("call" in part && part.issued === true ? [part.call] : []))
}

/** By Google's own word, what stands in for the signature of a call that was not made by the model that is asked. */
const FOREIGN = "skip_thought_signature_validator"

function toAssistant(message: AssistantMessage, model: string, issued: ReadonlySet<string>): Part[] {
  const kept = keptIn(message)
  // Signatures hold for the model that made them.
  const signed = kept?.model === model ? restored(message, kept, issued) : undefined
  if (signed !== undefined) return signed
  const foreign = generationOf(model).wantsSignatures ? { thoughtSignature: FOREIGN } : {}
  const calls = (message.toolCalls ?? []).map((call, index) => ({
    ...toCall(call, issued),
    ...(index === 0 && foreign),
  }))
  return [...(message.content === "" ? [] : [{ text: message.content }]), ...calls]
}

function toCall({ id, name, arguments: args }: ToolCall, issued: ReadonlySet<string>): Part {
  return { functionCall: { ...(issued.has(id) && { id }), name, args } }
}

function restored(message: AssistantMessage, kept: Kept, issued: ReadonlySet<string>): Part[] | undefined {
  const calls = new Map((message.toolCalls ?? []).map((call) => [call.id, call]))
  const parts: Part[] = []
  let at = 0
  for (const part of kept.parts) {
    const signature = part.signature === undefined ? {} : { thoughtSignature: part.signature }
    if ("text" in part) {
      parts.push({ text: message.content.slice(at, at + part.text), ...signature })
      at += part.text
      continue
    }
    const call = calls.get(part.call)
    if (call === undefined) return undefined
    calls.delete(call.id)
    parts.push({ ...toCall(call, issued), ...signature })
  }
  return at === message.content.length && calls.size === 0 ? parts : undefined
}

/** A piece of an answer. */
export const ReplyPart = z.object({
  text: z.string().optional(),
  thought: z.boolean().optional(),
  thoughtSignature: z.string().optional(),
  functionCall: z.object({ id: z.string().optional(), name: z.string(), args: z.unknown() }).optional(),
})
export type ReplyPart = z.infer<typeof ReplyPart>

const Count = z.int().min(0).optional()

/** An answer, or as much of it as has come. */
export const Reply = z.object({
  candidates: z
    .array(
      z.object({
        content: z.object({ parts: z.array(ReplyPart).optional() }).optional(),
        finishReason: z.string().optional(),
      }),
    )
    .optional(),
  promptFeedback: z.object({ blockReason: z.string().optional() }).optional(),
  usageMetadata: z
    .object({
      promptTokenCount: Count,
      candidatesTokenCount: Count,
      thoughtsTokenCount: Count,
      cachedContentTokenCount: Count,
      toolUsePromptTokenCount: Count,
    })
    .optional(),
  modelVersion: z.string().optional(),
  responseId: z.string().optional(),
})
export type Reply = z.infer<typeof Reply>

/** A part with its call already named. */
export type NamedPart = ReplyPart & { readonly call?: ToolCall }

/** Names calls that Gemini has not named, so that asking again gives the same names. */
export class CallNames {
  readonly #first: number
  readonly #taken: Set<string>

  constructor({ messages }: CompletionRequest) {
    this.#first = messages.length
    this.#taken = new Set(
      messages.flatMap((message) =>
        message.role === "assistant" ? (message.toolCalls ?? []).map(({ id }) => id) : [],
      ),
    )
  }

  name(part: ReplyPart): NamedPart {
    const { functionCall } = part
    if (functionCall === undefined) return part
    const { id, name, args = {} } = functionCall
    const call = { id: this.#take(id), name, ...toArguments(args) }
    return { ...part, call }
  }

  #take(given: string | undefined): string {
    let n = this.#first
    let id = given ?? ""
    while (id === "" || this.#taken.has(id)) id = `call_${n++}`
    this.#taken.add(id)
    return id
  }
}

function toArguments(args: unknown): Pick<ToolCall, "arguments" | "malformed"> {
  if (typeof args === "object" && args !== null && !Array.isArray(args)) {
    return { arguments: args as Record<string, unknown> }
  }
  return { arguments: {}, malformed: typeof args === "string" ? args : JSON.stringify(args) }
}

/** All that an answer has come to. */
export interface WholeReply {
  readonly parts: readonly NamedPart[]
  readonly finishReason: FinishReason
  readonly head: Omit<Reply, "candidates" | "promptFeedback">
}

/** Makes an answer of Gemini's one of ours. */
export function toCompletion({ parts, finishReason, head }: WholeReply, request: CompletionRequest): Completion {
  const said = parts.filter(({ thought }) => thought !== true)
  const calls = said.flatMap(({ call }) => (call === undefined ? [] : [call]))
  const reasoning = parts.map(({ thought, text = "" }) => (thought === true ? text : "")).join("")
  const message: AssistantMessage = {
    role: "assistant",
    content: said.map(({ text = "" }) => text).join(""),
    ...(reasoning !== "" && { reasoning }),
    ...(calls.length > 0 && { toolCalls: calls }),
    ...keptOf(said, request.model),
  }
  const usage = toUsage(head.usageMetadata)
  return {
    message,
    finishReason: finishReason === "stop" && calls.length > 0 ? "tool-calls" : finishReason,
    usage: usage ?? estimatedUsage(request, message),
    ...(usage === undefined && { usageEstimated: true }),
    model: head.modelVersion ?? request.model,
    ...(head.responseId !== undefined && { id: head.responseId }),
  }
}

/** Texts that nobody has signed are one text, however many pieces they came in; a signature stays at its own. */
function keptOf(parts: readonly NamedPart[], model: string): Pick<AssistantMessage, "provider"> {
  const kept: Kept["parts"] = []
  for (const { text, call, functionCall, thoughtSignature: signature } of parts) {
    const signed = signature === undefined ? {} : { signature }
    if (call !== undefined) {
      kept.push({ call: call.id, ...signed, ...(functionCall?.id === call.id && { issued: true }) })
      continue
    }
    const { length } = text ?? ""
    const last = kept.at(-1)
    if (signature === undefined && last !== undefined && "text" in last && last.signature === undefined)
      last.text += length
    else if (length > 0 || signature !== undefined) kept.push({ text: length, ...signed })
  }
  const matters = kept.some((part) => part.signature !== undefined || ("call" in part && part.issued === true))
  return matters ? { provider: { name: PROVIDER, data: { model, parts: kept } } } : {}
}

/** Gemini counts thoughts beside the other output. */
function toUsage(row: Reply["usageMetadata"]): Usage | undefined {
  if (row?.promptTokenCount === undefined) return undefined
  const { candidatesTokenCount = 0, thoughtsTokenCount, cachedContentTokenCount, toolUsePromptTokenCount = 0 } = row
  return {
    inputTokens: row.promptTokenCount + toolUsePromptTokenCount,
    outputTokens: candidatesTokenCount + (thoughtsTokenCount ?? 0),
    ...(cachedContentTokenCount !== undefined && { cachedTokens: cachedContentTokenCount }),
    ...(thoughtsTokenCount !== undefined && { reasoningTokens: thoughtsTokenCount }),
  }
}

const FILTERED = /SAFETY|RECITATION|LANGUAGE|BLOCKLIST|PROHIBITED|SPII|MODEL_ARMOR/

/** @throws Error for an end that is no answer: a call that cannot be read, a reason that says nothing */
export function toFinishReason(reason: string): FinishReason {
  if (reason === "STOP") return "stop"
  if (reason === "MAX_TOKENS" || reason === "CONTINUATION") return "length"
  if (FILTERED.test(reason)) return "filtered"
  throw new Error(`the model stopped with ${reason}`)
}
