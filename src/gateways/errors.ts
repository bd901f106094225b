import { isMurmurError, type MurmurError, RetryableError, TerminalError } from "../errors.js"

/**
 * What may go wrong between us and a model:
 *
 * retryable: `LLM_BUSY` (429), `LLM_UNAVAILABLE` (5xx, connection refused or reset), `LLM_TIMEOUT` (no answer in time),
 * `LLM_IDLE` (an answer that stopped coming), `LLM_REPLY` (an answer that cannot be read), `LLM_CIRCUIT_OPEN` (the provider
 * failed again and again; nobody asks it for a while), `LLM_QUEUE_FULL` (too many calls wait for it), `LLM_CLOSED` (the
 * broker is closed);
 *
 * terminal: `LLM_KEY` (401, 402, 403), `LLM_MODEL` (404), `LLM_REQUEST` (400, 422), `LLM_CONTEXT` (more than the model's window),
 * `LLM_FILTERED` (held back by the provider), `LLM_IMAGE` (one that cannot be sent), `LLM_REPLY_TOO_LARGE`,
 * `LLM_UNSUPPORTED`, `LLM_OPTION`, `LLM_GATEWAY` (no such provider, or its package is not installed), `LLM_OBJECT` (no
 * object that fits, after repairs), `LLM_TURNS`, `LLM_LOOP`, `LLM_SCRIPT` (a script without an answer).
 */
export type LlmErrorCode = `LLM_${string}`

/** What a provider answered instead of a completion. */
export interface ProviderFailure {
  readonly provider: string
  readonly model: string
  /** HTTP status; `undefined` when there was no answer. */
  readonly status: number | undefined
  /** What the provider says. */
  readonly message: string
  /** When the provider says to come back, in milliseconds. */
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

const CONTEXT =
  /context.{0,20}(length|window|size)|maximum context|too many tokens|prompt is too long|input.{0,20}too long/i

/** The error of a provider's answer: its class says whether asking again may help. */
export function providerError(failure: ProviderFailure): RetryableError | TerminalError {
  const { provider, model, status, message, retryAfterMs, cause } = failure
  const text = `Cannot ask model "${provider}/${model}": ${message || "no reason given"}${status === undefined ? "" : ` (${status})`}`
  const details = { provider, model, ...(status !== undefined && { status }) }
  const code = codeOf(status, message)
  if (isTerminalCode(code)) return new TerminalError(text, { code, cause, details })
  return new RetryableError(text, { code, cause, details, ...(retryAfterMs !== undefined && { retryAfterMs }) })
}

function codeOf(status: number | undefined, message: string): LlmErrorCode {
  if (status === undefined) return "LLM_UNAVAILABLE"
  if (status === 429) return "LLM_BUSY"
  if (status === 408) return "LLM_TIMEOUT"
  if (status === 409 || status >= 500) return "LLM_UNAVAILABLE"
  if (status === 401 || status === 402 || status === 403) return "LLM_KEY"
  if (status === 404) return "LLM_MODEL"
  if (status === 413 || CONTEXT.test(message)) return "LLM_CONTEXT"
  return "LLM_REQUEST"
}

function isTerminalCode(code: LlmErrorCode): boolean {
  return !["LLM_BUSY", "LLM_TIMEOUT", "LLM_UNAVAILABLE"].includes(code)
}

/** An answer that cannot be read: cut JSON, a stream without an end. */
export function replyError(provider: string, model: string, why: string, cause?: unknown): RetryableError {
  return new RetryableError(`Cannot read the answer of model "${provider}/${model}": ${why}`, {
    code: "LLM_REPLY",
    cause,
    details: { provider, model },
  })
}

/** Whether an error came from asking a model. */
export function isLlmError(error: unknown): error is MurmurError {
  return isMurmurError(error) && error.code.startsWith("LLM_")
}
