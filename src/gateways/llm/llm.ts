import type { z } from "zod"
import type { MicroUsd } from "../broker/broker.js"
import type { CompletionOptions, FinishReason, StreamPart, Usage } from "../completion.js"
import type { AssistantMessage, Message, ToolCall } from "../messages/message.js"

/** What a model is asked: messages, or one text from the user. */
export type Prompt = string | readonly Message[]

/** How a model is asked. Unknown options are errors. */
export interface AskModelOptions extends CompletionOptions {
  /** `provider/model` or an alias; several in the order in which they are tried. Default: the agent's `model`. */
  readonly model?: string | readonly string[]
  /** Higher first among calls that wait for the provider. Default 0. */
  readonly priority?: number
  /** How long the call may wait and take in all, in milliseconds; all turns and retries. Default: as long as the step. */
  readonly deadlineMs?: number
  /** Answer the same request from the mesh's cache for so long, in milliseconds. Default 0: not. */
  readonly cacheMs?: number
}

/** How a text is asked for. */
export interface TextOptions<Tool = never> extends AskModelOptions {
  /** What the model may call. It is asked again with the results until it answers without calling any. */
  readonly tools?: readonly Tool[]
  /** `required`: at least one call before it answers. Default: as the model likes. */
  readonly toolChoice?: "auto" | "none" | "required"
  /** How often the model is asked in all, repairs of an object included. Default 25. */
  readonly turnsMax?: number
  /** How many of one turn's calls run side by side. Default 8. */
  readonly toolConcurrency?: number
}

/** How an object is asked for. */
export interface ObjectOptions<Tool = never> extends TextOptions<Tool> {
  /** Names the schema to the model. Default `answer`. */
  readonly name?: string
  /** How often the model is told what was wrong and asked again. Default 2, which is also the most. */
  readonly repairs?: number
}

/** What a call of a model came to; of one with tools, all turns together. */
export interface Answered {
  readonly usage: Usage
  /** In millionths of a US dollar; `undefined` where a model has no known price. */
  readonly costMicroUsd: MicroUsd | undefined
  /** Which model answered last, as `provider/model`. */
  readonly model: string
  /** How often the model was asked, repairs included. */
  readonly turns: number
}

/** A model's answer in words. */
export interface TextAnswer extends Answered {
  readonly text: string
  readonly message: AssistantMessage
  /** What this call has added to the conversation: answers, tool results. */
  readonly messages: readonly Message[]
  readonly finishReason: FinishReason
}

/** A model's answer as an object that fits its schema. */
export interface ObjectAnswer<T> extends Answered {
  readonly object: T
  readonly messages: readonly Message[]
}

/** Vectors, in the order of the texts. */
export interface EmbedAnswer extends Answered {
  readonly vectors: readonly (readonly number[])[]
}

/** One piece of an answer while it comes; between turns, what became of its tool calls. */
export type TextPiece =
  | Exclude<StreamPart, { readonly type: "end" }>
  | { readonly type: "tool-result"; readonly call: ToolCall; readonly content: string; readonly isError: boolean }

/**
 * An answer while it comes. Reading it is optional: `answer` comes all the same. An answer that a step was given before
 * comes in one piece.
 */
export interface TextStream extends AsyncIterable<TextPiece> {
  readonly answer: Promise<TextAnswer>
}

/**
 * What agents think with: any model, by name. In a step (`ctx.llm`) each answer is journaled: what was answered once is
 * not asked, and not paid, again.
 */
export interface Llm<Tool = never> {
  /**
   * @throws RetryableError, TerminalError: `LLM_...`, `BUDGET_...`
   * @example
   * const { text } = await ctx.llm.text("Say it in one sentence: " + event.data.text)
   */
  text(prompt: Prompt, options?: TextOptions<Tool>): Promise<TextAnswer>
  /**
   * An object that fits a zod schema. What does not fit is told to the model, at most twice.
   *
   * @throws as {@link text}; TerminalError `LLM_OBJECT` when it still does not fit
   * @example
   * const { object } = await ctx.llm.object(Diagnosis, [system("You read CI logs."), user(log)])
   */
  object<T>(schema: z.ZodType<T>, prompt: Prompt, options?: ObjectOptions<Tool>): Promise<ObjectAnswer<T>>
  /**
   * @example
   * const stream = ctx.llm.stream("Tell me a story")
   * for await (const piece of stream) if (piece.type === "text") process.stdout.write(piece.text)
   */
  stream(prompt: Prompt, options?: TextOptions<Tool>): TextStream
  /** @example const { vectors } = await ctx.llm.embed(["a", "b"], { model: "ollama/nomic-embed-text" }) */
  embed(
    texts: readonly string[],
    options?: Pick<AskModelOptions, "model" | "priority" | "deadlineMs" | "cacheMs" | "timeoutMs"> & {
      readonly dimensions?: number
    },
  ): Promise<EmbedAnswer>
}
