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
import type { AssistantMessage, ImageSource, Message, ToolMessage, UserMessage } from "../messages/message.js"
import { type NamedPart, ReplyPart } from "./call-names.js"
import { generationOf, toThinking } from "./generation.js"
import { plainSchema } from "./plain-schema.js"
import { issuedIds, keptOf, restored, toCall } from "./signatures.js"

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

/** By Google's own word, what stands in for the signature of a call that was not made by the model that is asked. */
const FOREIGN = "skip_thought_signature_validator"

function toAssistant(message: AssistantMessage, model: string, issued: ReadonlySet<string>): Part[] {
  const signed = restored(message, model, issued)
  if (signed !== undefined) return signed
  const foreign = generationOf(model).wantsSignatures ? { thoughtSignature: FOREIGN } : {}
  const calls = (message.toolCalls ?? []).map((call, index) => ({
    ...toCall(call, issued),
    ...(index === 0 && foreign),
  }))
  return [...(message.content === "" ? [] : [{ text: message.content }]), ...calls]
}

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
