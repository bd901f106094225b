import { errorCode, type MurmurError, RetryableError, TerminalError } from "../../errors.js"
import { isLlmError } from "../errors.js"
import type { KnownModel } from "../models/known-model.js"
import { askModel } from "./ask-model.js"
import type { Answer, Asked } from "./asked.js"
import { type CachePlace, cachePlace } from "./cached.js"
import { isRetryable } from "./request.js"
import type { Work } from "./work.js"

/** What became of one model of a chain. */
type Tried = {
  readonly model: string
  readonly code: string
  readonly message: string
  /** How often it was asked. */
  readonly tries: number
}

/** Codes that say something of the request or the broker: another model would change nothing. */
const FINAL = new Set(["LLM_CLOSED"])

/**
 * Asks models one after the other until one answers. The next one's turn comes when the last has failed for good: not
 * when a budget is used up, and not when the caller has gone.
 *
 * @throws what the models said last, one that may help to try again before one that may not; `details.tried` has them all
 */
export async function askChain<T>(asked: Asked, names: readonly string[], work: Work<T>): Promise<Answer<T>> {
  const models = names.map(asked.known)
  const failures: MurmurError[] = []
  const tried: Tried[] = []
  for (const [at, model] of models.entries()) {
    const before = asked.tries
    try {
      return await askOne(asked, model, models.slice(at + 1), work)
    } catch (error) {
      if (asked.ending.reason !== undefined) throw asked.ending.reason
      if (!isLlmError(error) || FINAL.has(error.code)) throw error
      failures.push(error)
      tried.push({ model: model.name, code: errorCode(error), message: error.message, tries: asked.tries - before })
      asked.telemetry.failed(model, error)
    }
  }
  const last = failures.findLast(isRetryable) ?? failures.at(-1)
  throw last === undefined ? new Error("A chain of models is never empty") : exhausted(last, tried)
}

function askOne<T>(asked: Asked, model: KnownModel, others: readonly KnownModel[], work: Work<T>): Promise<Answer<T>> {
  const provider = asked.providers.get(model.provider)
  if (provider === undefined) throw noGateway(model, [...asked.providers.keys()])
  const unfit = work.unfit(model, others)
  if (unfit !== undefined) throw unfit
  const ask = (): Promise<Answer<T>> => askModel(asked, provider, model, work, others.length > 0)
  const { cache, cacheMs, clock } = asked.settings
  const place = cachePlace(cache, cacheMs, model.name, work, clock)
  return place === undefined ? ask() : throughCache(asked, model, place, ask)
}

async function throughCache<T>(
  { tries }: Asked,
  { name }: KnownModel,
  place: CachePlace<T>,
  ask: () => Promise<Answer<T>>,
): Promise<Answer<T>> {
  const kept = await place.get()
  if (kept !== undefined) {
    return { answer: kept, answeredBy: name, costMicroUsd: 0, cached: true, firstPartMs: undefined, tries }
  }
  const answered = await ask()
  place.put(answered.answer)
  return answered
}

/** No gateway has the name that a model begins with. */
export function noGateway({ name, provider }: KnownModel, known: readonly string[]): TerminalError {
  return new TerminalError(
    `Cannot ask model "${name}": there is no gateway "${provider}" (there are: ${known.join(", ")}). Add it where the broker is made`,
    { code: "LLM_GATEWAY", details: { model: name, provider } },
  )
}

/** The same error, with what all models said. */
function exhausted(last: MurmurError, tried: readonly Tried[]): MurmurError {
  const others =
    tried.length > 1 ? ` (${tried.length} models failed: ${tried.map(({ model }) => model).join(", ")})` : ""
  const options = { code: last.code, cause: last, details: { ...last.details, tried } }
  if (!isRetryable(last)) return new TerminalError(last.message + others, options)
  const { retryAfterMs } = last
  return new RetryableError(last.message + others, { ...options, ...(retryAfterMs !== undefined && { retryAfterMs }) })
}
