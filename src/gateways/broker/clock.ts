/** What a timer can wait for; a longer one would fire at once. */
export const TIMER_MS_MAX = 2 ** 31 - 1

/** Time, as the broker sees it. A port, so that tests need not wait. */
export interface BrokerClock {
  /** Milliseconds since 1970. Deadlines and "not before" are in it. */
  now(): number
  /** Milliseconds that are never set back. Durations are in it. */
  steady(): number
  /** Calls `work` after so many milliseconds, unless the returned function is called before. */
  after(ms: number, work: () => void): () => void
}

/** The machine's time. Its timers keep the process alive: somebody waits for each of them. */
export const systemClock: BrokerClock = {
  now: () => Date.now(),
  steady: () => performance.now(),
  after: (ms, work) => {
    const timer = setTimeout(work, Math.min(Math.max(0, ms), TIMER_MS_MAX))
    return () => clearTimeout(timer)
  },
}
