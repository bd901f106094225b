import { z } from "zod"
import { AssistantMessage, type Message, type ToolCall } from "./messages/message.js"

const TIMER_MS_MAX = 2 ** 31 - 1

/** How a model is to answer. What is not said is left to the provider. */
export const CompletionOptions = z.strictObject({
  /** How freely it chooses its words: 0 to 2; only where the model can be told (newer ones of Anthropic cannot). */
  temperature: z.number().min(0).max(2).optional(),
  /** How many tokens the answer may have, reasoning included. */
  maxTokens: z.int().min(1).optional(),
  /** How large a context the model is loaded with, in tokens; only where the server can choose (Ollama's `num_ctx`). */
  contextTokens: z.int().min(1).optional(),
  /** The same seed and the same request give the same answer, where the provider can do that. */
  seed: z.int().optional(),
  /** Texts at which the answer ends. */
  stop: z.array(z.string().min(1)).max(8).optional(),
  /** How much the model thinks before it answers. */
  reasoningEffort: z.enum(["none", "minimal", "low", "medium", "high"]).optional(),
  /** How long one request to the provider may take, in milliseconds. Default 120_000. */
  timeoutMs: z.int().min(1).max(TIMER_MS_MAX).optional(),
})
export type CompletionOptions = z.infer<typeof CompletionOptions>

/** A JSON schema (draft 2020-12). */
export type JsonSchema = Readonly<Record<string, unknown>>

/** A tool as a model sees it. */
export interface ToolSpec {
  readonly name: string
  readonly description: string
  /** Of its arguments: an object. */
  readonly parameters: JsonSchema
}

/** What one model is asked. */
export interface CompletionRequest {
  /** As the provider names it: `gpt-5-mini`, `qwen3:8b`. */
  readonly model: string
  readonly messages: readonly Message[]
  readonly tools?: readonly ToolSpec[]
  /** Whether it may, must not or must call a tool. Default `auto`. */
  readonly toolChoice?: "auto" | "none" | "required"
  readonly options: CompletionOptions
}

/** What one model is asked for an answer that is JSON. */
export interface ObjectRequest extends CompletionRequest {
  /** Letters, digits, `_` and `-`. */
  readonly schemaName: string
  readonly schema: JsonSchema
}

/** What a call has used, in tokens. */
export const Usage = z.object({
  inputTokens: z.int().min(0),
  outputTokens: z.int().min(0),
  /** Of the input: what the provider had in its cache. */
  cachedTokens: z.int().min(0).optional(),
  /** Of the output: what went into reasoning. */
  reasoningTokens: z.int().min(0).optional(),
})
export type Usage = z.infer<typeof Usage>

/** Why a model stopped: it was done, out of tokens, asks for tools, or its provider held the answer back. */
export const FinishReason = z.enum(["stop", "length", "tool-calls", "filtered"])
export type FinishReason = z.infer<typeof FinishReason>

/** A model's answer. Plain JSON. */
export const Completion = z.object({
  message: AssistantMessage,
  finishReason: FinishReason,
  /** As the provider counts; estimated, and said so, where it does not. */
  usage: Usage,
  usageEstimated: z.boolean().optional(),
  /** Which model answered, as the provider says: `gpt-5-mini-2025-08-07`. */
  model: z.string(),
  /** The provider's name for this answer. */
  id: z.string().optional(),
})
export type Completion = z.infer<typeof Completion>

/** One piece of an answer while it comes. The last one is `end`, with the whole. */
export type StreamPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "tool-call"; readonly call: ToolCall }
  | { readonly type: "end"; readonly completion: Completion }

/** Texts that are to become vectors. */
export interface EmbedRequest {
  readonly model: string
  readonly texts: readonly string[]
  /** How long the vectors are to be, where the model can choose. */
  readonly dimensions?: number
  readonly options: Pick<CompletionOptions, "timeoutMs">
}

/** Vectors, in the order of the texts. */
export const Embeddings = z.object({
  vectors: z.array(z.array(z.number())),
  usage: Usage,
  model: z.string(),
})
export type Embeddings = z.infer<typeof Embeddings>
