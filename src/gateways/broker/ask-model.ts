import { ensureError } from "../../errors.js"
import { isLlmError } from "../errors.js"
import type { KnownModel } from "../models/known-model.js"
import type { Answer, Asked } from "./asked.js"
import { estimateOf } from "./billing.js"
import type { Applicant } from "./lane.js"
import type { Provider } from "./provider.js"
import { askedAfterMs, isRetryable, sendRequest } from "./request.js"
import { delay } from "./waits.js"
import type { Work } from "./work.js"

/** What follows a request that failed. */
type Next =
  | { readonly next: "give-up" }
  /** At once: the lane itself keeps it until the provider wants to be asked. */
  | { readonly next: "queue" }
  | { readonly next: "wait"; readonly delayMs: number }

/**
 * Asks one model, again where that can help: not more often than `tries`, not after the deadline, never before the
 * provider wants to be asked again.
 *
 * @param hasOthers whether another model would be asked after this one: then it waits for no provider for long
 * @throws the last failure; why the call has ended
 */
export async function askModel<T>(
  asked: Asked,
  provider: Provider,
  model: KnownModel,
  work: Work<T>,
  hasOthers: boolean,
): Promise<Answer<T>> {
  const progress = { failed: 0, wasBusy: false }
  const applicant = applicantOf(asked, model, work, hasOthers, progress)
  for (;;) {
    const turn = await provider.lane.turn(applicant)
    try {
      const answered = await sendRequest(asked, provider, model, work, turn)
      if (answered !== undefined) return answered
    } catch (error) {
      if (asked.ending.reason !== undefined) throw asked.ending.reason
      const next = afterFailure(error, asked, hasOthers, progress)
      if (next.next === "give-up") throw error
      asked.telemetry.retrying(model, ensureError(error), next.next === "wait" ? next.delayMs : 0)
      if (next.next === "wait") await delay(asked.settings.clock, next.delayMs, asked.ending)
    }
  }
}

interface Progress {
  failed: number
  wasBusy: boolean
}

function applicantOf<T>(
  asked: Asked,
  model: KnownModel,
  work: Work<T>,
  hasOthers: boolean,
  progress: Progress,
): Applicant {
  const { ending, priority, deadlineMs, arrival } = asked
  const waits: Applicant["waits"] = (reason, untilMs) => {
    if (untilMs > latestMs(asked, hasOthers)) return false
    if (reason === "busy") return true
    // Without a deadline a call would rather be told than wait for a provider that may be down for long.
    return !hasOthers && (deadlineMs !== Number.POSITIVE_INFINITY || progress.wasBusy)
  }
  return { ending, priority, deadlineMs, arrival, tokens: () => estimateOf(model, work).tokens, waits }
}

/** Until when a call waits for a provider that wants to be left alone. */
function latestMs({ settings, deadlineMs, beganMs }: Asked, hasOthers: boolean): number {
  const { busyMsMax, backoffMsMax } = settings.retry
  const boundMs = hasOthers ? settings.clock.now() + Math.min(backoffMsMax, busyMsMax) : beganMs + busyMsMax
  return Math.min(deadlineMs, boundMs)
}

function afterFailure(error: unknown, asked: Asked, hasOthers: boolean, progress: Progress): Next {
  if (!isLlmError(error) || !isRetryable(error)) return { next: "give-up" }
  const { clock, retry, random } = asked.settings
  const askedMs = askedAfterMs(error)
  const busy = error.code === "LLM_BUSY" && askedMs !== undefined
  progress.wasBusy ||= busy
  // One that says when to come back has not failed; but it has, for a call that has somebody else to ask.
  if (!busy || hasOthers) progress.failed++
  if (progress.failed >= retry.tries) return { next: "give-up" }
  const backoffMs = busy ? 0 : random() * Math.min(retry.backoffMsMax, retry.backoffMs * 2 ** (progress.failed - 1))
  const delayMs = Math.max(backoffMs, askedMs ?? 0)
  if (clock.now() + delayMs > latestMs(asked, hasOthers)) return { next: "give-up" }
  return busy ? { next: "queue" } : { next: "wait", delayMs }
}
