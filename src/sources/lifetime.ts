import { ensureError } from "../errors.js"
import type { SourceContext } from "./source.js"

/** How long a source's run lasts: until it is told to stop, or until one of its parts fails. */
export interface Lifetime {
  /** Resolves when the signal aborts, rejects with the first failure. */
  readonly over: Promise<void>
  /** Ends the run with an error; what comes after the first is dropped. */
  fail(error: unknown): void
}

/** A lifetime that ends with `signal`. For sources whose work happens in callbacks. */
export function lifetime(signal: AbortSignal): Lifetime {
  let fail: (error: unknown) => void = () => {}
  const over = new Promise<void>((resolve, reject) => {
    fail = (error) => reject(ensureError(error))
    if (signal.aborted) resolve()
    else signal.addEventListener("abort", () => resolve(), { once: true })
  })
  // It may fail before anybody waits for it.
  over.catch(() => {})
  return { over, fail }
}

/** A write that is done again and again. */
export interface RegularWrite {
  /** Ends it, after one last write. */
  stop(): Promise<void>
}

/**
 * Calls `write` every `everyMs`, one at a time, and once more at the end. For what a source remembers: a failed write is
 * logged and tried again by the next, because it costs no event, only repeats with the same ids after a crash.
 */
export function writeRegularly(ctx: SourceContext, everyMs: number, write: () => Promise<void>): RegularWrite {
  let current: Promise<void> | undefined
  const attempt = async (): Promise<void> => {
    try {
      await write()
    } catch (error) {
      ctx.log.warn({ source: ctx.name, err: error }, "cannot remember how far the source has come; trying again")
    }
  }
  const timer = setInterval(() => {
    current ??= attempt().finally(() => {
      current = undefined
    })
  }, everyMs)
  return {
    async stop() {
      clearInterval(timer)
      await current
      await attempt()
    },
  }
}

/** Sleeps, or wakes early when `signal` aborts; never throws. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const wake = (): void => {
      clearTimeout(timer)
      signal.removeEventListener("abort", wake)
      resolve()
    }
    const timer = setTimeout(wake, ms)
    signal.addEventListener("abort", wake, { once: true })
  })
}
