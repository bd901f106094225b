import { createHash } from "node:crypto"
import type { BrokerClock } from "./clock.js"
import type { ResponseCache } from "./ports.js"
import { withinMs } from "./waits.js"
import type { Work } from "./work.js"

/** The place of one answer in the cache. */
export interface CachePlace<T> {
  get(): Promise<T | undefined>
  put(answer: T): void
}

/** Looking is not to take longer than this, in milliseconds: a model can be asked instead. */
const WAIT_MS = 1_000

/** Version of what keys and answers mean; another one finds nothing of the others. */
const FORMAT = 1

/**
 * Where an answer of one model would be kept; `undefined` where it is not to be. A cache that fails is as good as none.
 *
 * @param defaultMs how long answers are kept unless the request says otherwise
 */
export function cachePlace<T>(
  cache: ResponseCache | undefined,
  defaultMs: number,
  model: string,
  work: Work<T>,
  clock: BrokerClock,
): CachePlace<T> | undefined {
  const keepMs = work.cacheMs ?? defaultMs
  if (cache === undefined || keepMs <= 0) return undefined
  const identity = work.identity()
  if (identity === undefined) return undefined
  const key = createHash("sha256")
    .update(JSON.stringify([FORMAT, work.operation, model, identity]))
    .digest("hex")
  return {
    get: async () => {
      const kept = await withinMs(cache.get(key), WAIT_MS, clock)
      return kept === undefined ? undefined : work.restore(kept)
    },
    put: (answer) => {
      if (work.keepable(answer)) void cache.put(key, answer, keepMs).catch(() => {})
    },
  }
}
