import { isMurmurError, type RetryableError } from "../../errors.js"
import { isLlmError } from "../errors.js"
import type { KnownModel } from "../models/known-model.js"
import type { Answer, Asked } from "./asked.js"
import { type AttemptLimits, attempt } from "./attempt.js"
import { estimateOf, spentInVain, spentOn } from "./billing.js"
import type { Meter, Reservation } from "./broker.js"
import type { Health } from "./circuit.js"
import type { Turn } from "./lane.js"
import type { Provider } from "./provider.js"
import { unlessEnded } from "./waits.js"
import type { Work } from "./work.js"

/**
 * Sends one request, for which it has its turn: reserves what it may cost, asks, settles what it has cost, and gives the
 * turn back with what it says of the provider.
 *
 * @returns `undefined` when its turn had lapsed by then: nothing was sent
 * @throws what the meter and the gateway throw; `LLM_TIMEOUT`, `LLM_IDLE`, `LLM_REPLY_TOO_LARGE`; why the call has ended
 */
export async function sendRequest<T>(
  asked: Asked,
  provider: Provider,
  model: KnownModel,
  work: Work<T>,
  turn: Turn,
): Promise<Answer<T> | undefined> {
  const reservation = asked.meter?.active === true ? await reserve(asked, asked.meter, model, work, turn) : undefined
  if (turn.lapsed) {
    reservation?.settle("nothing")
    turn.end("unknown", { tokens: 0 })
    return undefined
  }
  asked.tries++
  provider.calls++
  try {
    let firstPartMs: number | undefined
    const beganMs = asked.settings.clock.steady()
    const first = (): void => {
      firstPartMs = asked.settings.clock.steady() - beganMs
      turn.answers()
    }
    const answer = await attempt(limitsOf(asked, model, work), (sending) =>
      work.ask(provider.gateway, model, { ...sending, first }),
    )
    const spent = spentOn(model, work, answer)
    reservation?.settle(spent)
    turn.end("alive", { tokens: spent.tokens })
    asked.telemetry.spent(model, work, answer, spent, firstPartMs)
    work.check(model.name, answer)
    const { costMicroUsd } = spent
    return { answer, answeredBy: model.name, costMicroUsd, cached: false, firstPartMs, tries: asked.tries }
  } catch (error) {
    // Both have been told already where it is the answer that is no good.
    reservation?.settle(spentInVain(error))
    if (endFailed(turn, error) === "failing") provider.failures++
    throw error
  }
}

/**
 * Reserves; without room for it the turn is given back.
 *
 * @throws what the meter throws; why the call has ended, and takes back what comes to be reserved after that
 */
async function reserve<T>(
  { ending }: Asked,
  meter: Meter,
  model: KnownModel,
  work: Work<T>,
  turn: Turn,
): Promise<Reservation> {
  try {
    const reserving = settledOnce(meter.reserve(estimateOf(model, work)))
    return await unlessEnded(reserving, ending, (late) => late.settle("nothing"))
  } catch (error) {
    turn.end("unknown", { tokens: 0 })
    throw error
  }
}

/** A reservation that heeds the first word only. */
async function settledOnce(reserving: Promise<Reservation>): Promise<Reservation> {
  const reservation = await reserving
  let settled = false
  return {
    settle: (spent) => {
      if (!settled) reservation.settle(spent)
      settled = true
    },
  }
}

function endFailed(turn: Turn, error: unknown): Health {
  const health = healthOf(error)
  const askedMs = askedAfterMs(error)
  turn.end(health, askedMs === undefined ? {} : { askedMs })
  return health
}

function limitsOf<T>({ settings, ending, deadlineMs }: Asked, { name }: KnownModel, work: Work<T>): AttemptLimits {
  const { clock, idleMs } = settings
  const leftMs = Math.max(1, deadlineMs - clock.now())
  return { name, ending, timeoutMs: Math.min(work.timeoutMs ?? settings.timeoutMs, leftMs), idleMs, clock }
}

/** What an error says of the provider. A refusal that names a status shows that it is there. */
function healthOf(error: unknown): Health {
  if (!isLlmError(error)) return "unknown"
  if (isRetryable(error)) return "failing"
  return typeof error.details?.status === "number" ? "alive" : "unknown"
}

/** Whether the same request may succeed later. */
export function isRetryable(error: unknown): error is RetryableError {
  return isMurmurError(error) && error.name === "RetryableError"
}

/** When the provider wants to be asked again, if it has said so. "At once" is no answer to that. */
export function askedAfterMs(error: unknown): number | undefined {
  if (!isRetryable(error)) return undefined
  const { retryAfterMs } = error
  return typeof retryAfterMs === "number" && retryAfterMs > 0 ? retryAfterMs : undefined
}
