import { setTimeout as delay } from "node:timers/promises"
import type { Bucket } from "../bus/bucket.js"
import { ensureError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"

/** What was written under a key, or, without a value, that it is gone. */
export interface Change {
  readonly key: string
  readonly value: unknown
}

const RETRY_MS = 500

/**
 * Follows a bucket until aborted, also over faults: first what stands there, then each change.
 *
 * @returns when what stands there is applied
 */
export function followBucket(
  bucket: Bucket,
  apply: (change: Change) => void,
  options: { readonly signal: AbortSignal; readonly log: Log },
): Promise<void> {
  return new Promise((synced) => {
    void watch(bucket, apply, options, synced)
  })
}

async function watch(
  bucket: Bucket,
  apply: (change: Change) => void,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Log },
  synced: () => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const change of bucket.watch({ signal })) {
        if ("synced" in change) synced()
        else apply(change)
      }
    } catch (error) {
      log.warn({ bucket: bucket.name, error: ensureError(error) }, "lost sight of a bucket; trying again")
    }
    await delay(RETRY_MS, undefined, { signal }).catch(() => {}) // without it a closed connection would spin
  }
  synced()
}
