import { setTimeout as sleep } from "node:timers/promises"

/** What a timer can wait for; a longer one would fire at once. */
export const TIMER_MS_MAX = 2 ** 31 - 1

/** Time, as the runtime of agents sees it. A port, so that the same code runs in virtual time. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** As `now`, but never set back. */
  steady(): number
  /** Fulfilled after so many milliseconds, or when it is aborted. */
  delay(ms: number, signal?: AbortSignal): Promise<void>
  /** Calls `work` after so many milliseconds, unless the returned function is called before. Does not keep a process alive. */
  after(ms: number, work: () => void): () => void
}

/** The machine's time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  steady: () => performance.timeOrigin + performance.now(),
  delay: async (ms, signal) => {
    await sleep(Math.min(ms, TIMER_MS_MAX), undefined, { signal }).catch(() => {})
  },
  after: (ms, work) => {
    const timer = setTimeout(work, Math.min(ms, TIMER_MS_MAX)).unref()
    return () => clearTimeout(timer)
  },
}

/** Calls `work` again and again, so many milliseconds after it returned. @returns ends it */
export function every(clock: Clock, ms: number, work: () => void): () => void {
  let cancel = (): void => {}
  const next = (): void => {
    cancel = clock.after(ms, () => {
      work()
      next()
    })
  }
  next()
  return () => cancel()
}

/**
 * Waits for work, but not for ever, and leaves no timer behind. The work goes on when its time is up.
 *
 * @param stopping ends the waiting as well
 */
export async function waitAtMost(
  clock: Pick<Clock, "delay">,
  ms: number,
  work: Promise<unknown>,
  stopping?: AbortSignal,
): Promise<void> {
  const over = new AbortController()
  const ends = stopping === undefined ? over.signal : AbortSignal.any([over.signal, stopping])
  try {
    await Promise.race([clock.delay(ms, ends), work])
  } finally {
    over.abort()
  }
}

/** RFC 3339. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString()
}
