import { setTimeout as delay } from "node:timers/promises"
import type { Bucket } from "../bus/bucket.js"
import { ensureError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"

/** What an operator has decided, or, without a value, has taken back. */
export interface Setting {
  readonly key: string
  readonly value: unknown
}

const RETRY_MS = 500

/**
 * Follows the decisions of operators until aborted: first those that stand, then each that changes.
 *
 * @returns when those that stand are applied
 */
export function followSettings(
  settings: Bucket,
  apply: (change: Setting) => void,
  options: { readonly signal: AbortSignal; readonly log: Log },
): Promise<void> {
  return new Promise((synced) => {
    void watch(settings, apply, options, synced)
  })
}

async function watch(
  settings: Bucket,
  apply: (change: Setting) => void,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Log },
  synced: () => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const change of settings.watch({ signal })) {
        if ("synced" in change) synced()
        else apply(change)
      }
    } catch (error) {
      log.warn({ error: ensureError(error) }, "lost sight of the settings; trying again")
    }
    await delay(RETRY_MS, undefined, { signal }).catch(() => {}) // without it a closed connection would spin
  }
  synced()
}
