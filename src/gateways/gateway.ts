import type {
  Completion,
  CompletionRequest,
  Embeddings,
  EmbedRequest,
  ObjectRequest,
  StreamPart,
} from "./completion.js"

/** What a call of a gateway is given besides its request. */
export interface GatewayCall {
  /** Aborted when nobody waits for the answer any longer; the request is broken off then. */
  readonly signal: AbortSignal
}

/** A model that a provider offers. */
export interface OfferedModel {
  /** As the provider names it. */
  readonly name: string
  /** What the provider tells of it; the table of known models knows more. */
  readonly contextTokens?: number
  readonly tools?: boolean
  readonly images?: boolean
}

/** How far a model is on its way to the provider's machine. */
export interface PullProgress {
  readonly status: string
  readonly completedBytes?: number
  readonly totalBytes?: number
}

/**
 * An adapter to one provider of models. It translates, and decides nothing: no retries, no limits, no cache, which are the
 * broker's. The vendor's types stop at its files.
 *
 * Errors are ours (`errors.ts`): a `RetryableError` where the same request may succeed later, a `TerminalError` where it
 * cannot. All methods may be called side by side.
 */
export interface Gateway {
  /** The first part of model names: `openai` in `openai/gpt-5-mini`. */
  readonly provider: string
  /** Stands for the account that pays, so that limits can be kept per key; never the key itself. */
  readonly account: string
  /** @throws RetryableError, TerminalError */
  complete(request: CompletionRequest, call: GatewayCall): Promise<Completion>
  /** The answer's content is meant to be JSON by the schema; nobody has checked whether it is. @throws as {@link complete} */
  completeObject(request: ObjectRequest, call: GatewayCall): Promise<Completion>
  /** Ends with a part `end`; a stream that breaks off before it throws. Leaving the loop breaks the request off. */
  stream(request: CompletionRequest, call: GatewayCall): AsyncIterable<StreamPart>
  /** @throws RetryableError; TerminalError, `LLM_UNSUPPORTED` where the provider has none */
  embed(request: EmbedRequest, call: GatewayCall): Promise<Embeddings>
  /** The models that are there at this moment. */
  models(call: GatewayCall): Promise<readonly OfferedModel[]>
  /** Fetches a model to the provider's machine. Only where the provider is a machine of one's own. */
  pull?(model: string, call: GatewayCall): AsyncIterable<PullProgress>
}
