import { RetryableError } from "../../errors.js"
import { duration } from "../text.js"

/** A bound of time that keeps the process alive until it is ended: what is waited for may hold nothing that does. */
export interface TimeLimit {
  /** Aborted with an error of the code `LLM_TIMEOUT` when the time is over. */
  readonly signal: AbortSignal
  /** Rejects with that error. */
  readonly over: Promise<never>
  end(): void
}

/** @param who was asked, for the message: `provider "openai"` */
export function timeLimit(who: string, ms: number): TimeLimit {
  const controller = new AbortController()
  const error = new RetryableError(`Cannot ask ${who}: no answer within ${duration(ms)}`, { code: "LLM_TIMEOUT" })
  const timer = setTimeout(() => controller.abort(error), ms)
  const over = new Promise<never>((_, reject) => {
    controller.signal.addEventListener("abort", () => reject(error), { once: true })
  })
  over.catch(() => {}) // nobody may be waiting for it any more
  return { signal: controller.signal, over, end: () => clearTimeout(timer) }
}
