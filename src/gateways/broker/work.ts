import type { TerminalError } from "../../errors.js"
import type { Usage } from "../completion.js"
import type { Gateway } from "../gateway.js"
import type { KnownModel } from "../models/known-model.js"
import type { Sending } from "./attempt.js"

/** A request on its way, and when it began and was first answered (steady milliseconds). */
export interface WorkSending extends Sending {
  /** To be called with the first piece of a streamed answer. */
  readonly first: () => void
}

/** One thing that is wanted of a model, with all that differs between texts and vectors. */
export interface Work<T> {
  readonly operation: "chat" | "embeddings"
  /** How long one request may take, in milliseconds, if the caller has said. */
  readonly timeoutMs: number | undefined
  readonly maxTokens: number | undefined
  readonly cacheMs: number | undefined
  /** What the model lacks. `others` are those that would be tried after it. */
  unfit(model: KnownModel, others: readonly KnownModel[]): TerminalError | undefined
  ask(gateway: Gateway, model: KnownModel, sending: WorkSending): Promise<T>
  /** An estimate from above. */
  inputTokens(): number
  usage(answer: T): Usage
  /** As the provider names the model that answered, why it stopped, its name for the answer. For spans. */
  describe(answer: T): { readonly model: string; readonly finishReason?: string; readonly id?: string }
  /** @throws TerminalError `LLM_REPLY_TOO_LARGE` */
  check(name: string, answer: T): void
  /** What the answer depends on, besides the model; `undefined` where the same words may mean something else tomorrow. */
  identity(): unknown
  /** Whether the answer may be given again. */
  keepable(answer: T): boolean
  /** An answer from the cache, as one that has used nothing; `undefined` when it cannot be read. */
  restore(kept: unknown): T | undefined
  /** The answer stands: told to whoever follows it. */
  deliver(answer: T, cached: boolean): void
  /** What was asked and answered, for spans that carry content. */
  content(answer: T | undefined): Readonly<Record<string, string | undefined>>
}
