import { setTimeout as sleep } from "node:timers/promises"

/**
 * Looks again and again until `look` gives something.
 *
 * @returns what it gave, or `undefined` after `withinMs`
 * @throws the reason of `signal`
 */
export async function waitFor<T>(
  look: () => T | undefined | Promise<T | undefined>,
  withinMs: number,
  signal?: AbortSignal,
  everyMs = 20,
): Promise<T | undefined> {
  const deadline = performance.now() + withinMs
  for (;;) {
    signal?.throwIfAborted()
    const seen = await look()
    if (seen !== undefined) return seen
    if (performance.now() > deadline) return undefined
    await pause(everyMs, signal)
  }
}

/**
 * Sleeps.
 *
 * @param keepsAlive whether this process is kept running for it
 * @throws the reason of `signal`
 */
export async function pause(ms: number, signal?: AbortSignal, keepsAlive = true): Promise<void> {
  try {
    await sleep(ms, undefined, { signal, ref: keepsAlive })
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
}
