import { setTimeout as delay } from "node:timers/promises"

/** Waits until a condition holds. @returns whether it came to hold in time @throws the reason of an abort */
export async function waitUntil(
  holds: () => boolean | Promise<boolean>,
  forMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const deadline = performance.now() + forMs
  for (;;) {
    if (await holds()) return true
    if (performance.now() > deadline) return false
    await delay(50, undefined, { signal })
  }
}

/** Waits for work unless it is told to stop waiting. The work goes on then. @throws the reason of an abort */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    else signal.addEventListener("abort", stop, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener("abort", stop)
    work.catch(() => {}) // nobody waits for it any more
  }
}
