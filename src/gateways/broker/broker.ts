import type { TraceContext } from "../../telemetry/ports.js"
import type {
  Completion,
  CompletionOptions,
  CompletionRequest,
  Embeddings,
  JsonSchema,
  StreamPart,
  ToolSpec,
} from "../completion.js"
import type { Message } from "../messages/message.js"
import type { KnownModel } from "../models/known-model.js"

/** What the broker is asked. */
export interface BrokerRequest {
  /** `provider/model`, or an alias; several in the order in which they are tried. */
  readonly models: readonly string[]
  readonly messages: readonly Message[]
  readonly tools?: readonly ToolSpec[]
  readonly toolChoice?: CompletionRequest["toolChoice"]
  /** The answer is to be JSON by this schema. */
  readonly object?: { readonly name: string; readonly schema: JsonSchema }
  readonly options: CompletionOptions
  /** Answer the same request from the cache for so long, in milliseconds. Default: what the broker was made with. */
  readonly cacheMs?: number
}

/** Texts that are to become vectors. */
export interface BrokerEmbedRequest {
  readonly models: readonly string[]
  readonly texts: readonly string[]
  readonly dimensions?: number
  readonly options: Pick<CompletionOptions, "timeoutMs">
  readonly cacheMs?: number
}

/** Who asks, how urgently, and who pays. */
export interface BrokerCall {
  readonly signal: AbortSignal
  /** Higher first among calls that wait. Default 0. */
  readonly priority?: number
  /** Among calls of one priority the earliest first; a call that has not begun by then fails. Milliseconds since 1970. */
  readonly deadlineMs?: number
  /** Reserves before each request to a provider, and settles after it. */
  readonly meter?: Meter
  /** For spans and metrics. */
  readonly agent?: string
  /** Parent of its spans; default: the active one. */
  readonly trace?: TraceContext | undefined
  /** Told of each piece while the answer comes; given, the answer is streamed. An attempt that failed may have told some. */
  readonly onPart?: (part: StreamPart) => void
}

/** What a call has cost: in millionths of a US dollar; `undefined` where the model has no known price. */
export type MicroUsd = number

/** A model's answer, and what it took. Plain JSON. */
export interface BrokerCompletion extends Completion {
  /** The one of the request's models that answered, as `provider/model`. */
  readonly answeredBy: string
  readonly costMicroUsd?: MicroUsd
  /** Whether it came from the cache, and cost nothing. */
  readonly cached: boolean
  /** How often a provider was asked, the last time included. */
  readonly tries: number
  readonly durationMs: number
  /** From the beginning of the last request to its first piece; only where the answer was streamed. */
  readonly firstPartMs?: number
}

/** Vectors, and what they took. Plain JSON. */
export interface BrokerEmbeddings extends Embeddings {
  readonly answeredBy: string
  readonly costMicroUsd?: MicroUsd
  readonly cached: boolean
  readonly tries: number
  readonly durationMs: number
}

/** The most that a request may come to. */
export interface Estimate {
  /** `provider/model`. */
  readonly model: string
  readonly tokens: number
  /** `undefined` where the model has no known price. */
  readonly costMicroUsd: MicroUsd | undefined
}

/** What a request has come to. */
export interface Spent {
  readonly tokens: number
  readonly costMicroUsd: MicroUsd | undefined
}

/** A reservation that stands until it is settled; one that never is counts as spent. */
export interface Reservation {
  /**
   * @param spent what it came to; `nothing` where the provider has refused the request or was never reached, so that
   *   nothing can have been billed; `unknown` where it may have been
   */
  settle(spent: Spent | "nothing" | "unknown"): void
}

/** Who pays: budgets are reserved before a request and settled after it. */
export interface Meter {
  /** @throws TerminalError `BUDGET_TOKENS`, `BUDGET_USD`, ... when there is no room, or no price to count with */
  reserve(estimate: Estimate): Promise<Reservation>
  /** Whether anything is counted: then the broker need not estimate. */
  readonly active: boolean
}

/** How a provider stands. */
export interface ProviderStatus {
  readonly provider: string
  readonly circuit: "closed" | "open" | "half-open"
  /** When an open circuit is tried again, or a provider that said "not before" may be asked. Milliseconds since 1970. */
  readonly untilMs?: number
  readonly running: number
  readonly waiting: number
  readonly calls: number
  readonly failures: number
}

/**
 * Stands in front of all gateways: chooses the model, waits for its turn within the limits of provider and key, asks,
 * tries again where that can help, goes on to the next model where it cannot, counts what it costs.
 *
 * @throws RetryableError, TerminalError: see `errors.ts`
 */
export interface Broker {
  complete(request: BrokerRequest, call: BrokerCall): Promise<BrokerCompletion>
  embed(request: BrokerEmbedRequest, call: BrokerCall): Promise<BrokerEmbeddings>
  /** What is known of a model, by name or alias. @throws TerminalError `LLM_OPTION`, `LLM_GATEWAY` */
  model(name: string): KnownModel
  status(): readonly ProviderStatus[]
  close(): Promise<void>
}
