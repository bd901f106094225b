import { ensureError } from "../errors.js"
import type { Clock } from "./clock.js"

/** How something is tried again. */
export interface Persistence {
  readonly clock: Clock
  /** Aborted when the node cannot wait any longer. */
  readonly stopping: AbortSignal
  /** The first wait, in milliseconds; each further one is twice as long. */
  readonly firstMs: number
  readonly maxMs: number
  /** Told of each failure after which it is tried again. */
  readonly onFailure: (error: Error) => void
  /** How the wait is spent; default: as it is. */
  readonly pause?: (wait: Promise<unknown>) => Promise<unknown>
}

/**
 * Does something that must be done, however often it fails.
 *
 * @throws the last failure when the node stops
 */
export async function persistently<T>(work: () => Promise<T>, how: Persistence): Promise<T> {
  const { clock, stopping, firstMs, maxMs, onFailure, pause = (wait) => wait } = how
  for (let failures = 0; ; failures++) {
    try {
      return await work()
    } catch (thrown) {
      if (stopping.aborted) throw thrown
      onFailure(ensureError(thrown))
      await pause(clock.delay(Math.min(maxMs, firstMs * 2 ** Math.min(failures, 10)), stopping))
      if (stopping.aborted) throw thrown
    }
  }
}
