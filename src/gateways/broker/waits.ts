import type { BrokerClock } from "./clock.js"
import type { Ending } from "./ending.js"

/**
 * Waits so many milliseconds.
 *
 * @throws why the call has ended, if it ends before
 */
export function delay(clock: BrokerClock, ms: number, ending: Ending): Promise<void> {
  return new Promise((resolve, reject) => {
    if (ending.reason !== undefined) return reject(ending.reason)
    const off = ending.on((reason) => {
      cancel()
      off()
      reject(reason)
    })
    const cancel = clock.after(ms, () => {
      off()
      resolve()
    })
  })
}

/**
 * What a promise comes to, unless the call ends before.
 *
 * @param late told of what it comes to afterwards
 * @throws why the call has ended
 */
export function unlessEnded<T>(promise: Promise<T>, ending: Ending, late: (value: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const off = ending.on(reject)
    if (ending.reason !== undefined) reject(ending.reason)
    promise.then(
      (value) => {
        off()
        if (ending.reason === undefined) resolve(value)
        else late(value)
      },
      (error: unknown) => {
        off()
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
