import { isMurmurError, type RetryableError, TerminalError } from "../errors.js"
import type { DeadReason } from "./dead-letters.js"
import type { RetryOptions } from "./define-agent.js"
import { GuardTripped } from "./guards/guard-tripped.js"

/** What follows a failed attempt. */
export type Verdict =
  | { readonly next: "retry"; readonly delayMs: number }
  | { readonly next: "dead"; readonly reason: DeadReason }

/** Codes that say the step itself is wrong: another attempt would fail in the same way. */
const TERMINAL_CODES = new Set([
  "EMIT_UNDECLARED",
  "EVENT_DATA",
  "EVENT_EXTENSION",
  "EVENT_ID",
  "EVENT_KEY",
  "EVENT_OPTION",
  "EVENT_SOURCE",
  "EVENT_TIME",
  "EVENT_TOO_LARGE",
  "EVENT_TYPE",
  "PUBLISH_DENIED",
])

/** What a timer can wait for; a longer one would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1

/**
 * Decides what follows a failed attempt: the class of the error says whether trying again may help, the agent's retry
 * options say when and how often. The one place that maps errors to fates.
 *
 * @param attempt how many attempts were made, this one included
 * @param random for jitter, 0 to 1: a delay is 0.8 to 1.2 of its nominal length, and never over `backoffMsMax`
 */
export function judge(error: Error, attempt: number, retry: Required<RetryOptions>, random: number): Verdict {
  if (error instanceof GuardTripped) return { next: "dead", reason: error.reason }
  if (isTerminal(error)) return { next: "dead", reason: "terminal" }
  if (attempt >= retry.attempts) return { next: "dead", reason: "failed" }
  const askedMs = retryAfterOf(error)
  if (askedMs !== undefined) return { next: "retry", delayMs: askedMs }
  const fullMs = Math.min(retry.backoffMsMax, retry.backoffMs * 4 ** (attempt - 1))
  const jittered = Math.round(fullMs * (0.8 + 0.4 * random))
  return { next: "retry", delayMs: Math.min(jittered, retry.backoffMsMax, TIMER_MS_MAX) }
}

/** The delay that an error asks for, if it asks for one that can be waited. */
function retryAfterOf(error: Error): number | undefined {
  if (!isMurmurError(error) || !("retryAfterMs" in error)) return undefined
  const { retryAfterMs } = error as RetryableError
  if (typeof retryAfterMs !== "number" || Number.isNaN(retryAfterMs)) return undefined
  return Math.min(Math.max(0, retryAfterMs), TIMER_MS_MAX)
}

/** Whether trying again cannot help. */
export function isTerminal(error: Error): boolean {
  if (error instanceof TerminalError) return true
  if (!isMurmurError(error)) return false
  return error.name === "TerminalError" || TERMINAL_CODES.has(error.code)
}
