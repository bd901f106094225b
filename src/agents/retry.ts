import { isMurmurError, type RetryableError, TerminalError } from "../errors.js"
import type { RetryOptions } from "./define-agent.js"

/** What follows a failed attempt. */
export type Verdict =
  | { readonly next: "retry"; readonly delayMs: number }
  | { readonly next: "dead"; readonly reason: "terminal" | "failed" }

/** Codes that say the step itself is wrong: another attempt would fail in the same way. */
const TERMINAL_CODES = new Set([
  "EMIT_UNDECLARED",
  "EVENT_DATA",
  "EVENT_KEY",
  "EVENT_OPTION",
  "EVENT_TIME",
  "EVENT_TOO_LARGE",
  "EVENT_TYPE",
  "PUBLISH_DENIED",
])

/**
 * Decides what follows a failed attempt: the class of the error says whether trying again may help, the agent's retry
 * options say when and how often. The one place that maps errors to fates.
 *
 * @param attempt how many attempts were made, this one included
 * @param random for jitter, 0 to 1
 */
export function judge(error: Error, attempt: number, retry: Required<RetryOptions>, random: number): Verdict {
  if (isTerminal(error)) return { next: "dead", reason: "terminal" }
  if (attempt >= retry.attempts) return { next: "dead", reason: "failed" }
  const asked = isMurmurError(error) && "retryAfterMs" in error ? (error as RetryableError).retryAfterMs : undefined
  if (asked !== undefined) return { next: "retry", delayMs: asked }
  const fullMs = Math.min(retry.backoffMsMax, retry.backoffMs * 4 ** (attempt - 1))
  return { next: "retry", delayMs: Math.round(fullMs * (0.8 + 0.4 * random)) }
}

function isTerminal(error: Error): boolean {
  if (error instanceof TerminalError) return true
  if (!isMurmurError(error)) return false
  return error.name === "TerminalError" || TERMINAL_CODES.has(error.code)
}
