import type { BrokerClock } from "./clock.js"

/**
 * What a promise comes to, unless the signal is aborted before.
 *
 * @param late told of what it comes to afterwards
 * @throws the signal's reason
 */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal, late: (value: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason)
    if (signal.aborted) aborted()
    else signal.addEventListener("abort", aborted, { once: true })
    promise.then(
      (value) => {
        signal.removeEventListener("abort", aborted)
        if (signal.aborted) late(value)
        else resolve(value)
      },
      (error: unknown) => {
        signal.removeEventListener("abort", aborted)
        reject(error)
      },
    )
  })
}

/** What a promise comes to, or `undefined` when it fails or takes longer than so many milliseconds. */
export function withinMs<T>(promise: Promise<T>, ms: number, clock: BrokerClock): Promise<T | undefined> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, () => resolve(undefined))
    const done = (value: T | undefined): void => {
      cancel()
      resolve(value)
    }
    promise.then(done, () => done(undefined))
  })
}
