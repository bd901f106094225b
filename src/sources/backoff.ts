/**
 * Pauses between attempts: they double from the shortest to the longest, and each is cut by up to a half at random, so that
 * many feeds that lost the same server do not come back at the same moment.
 */
export class Backoff {
  readonly #minMs: number
  readonly #maxMs: number
  readonly #random: () => number
  #attempts = 0

  constructor(minMs: number, maxMs: number, random: () => number = Math.random) {
    this.#minMs = minMs
    this.#maxMs = Math.max(minMs, maxMs)
    this.#random = random
  }

  /** The next pause, in milliseconds. */
  next(): number {
    const whole = Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(this.#attempts, 30))
    this.#attempts += 1
    return Math.round(whole * (1 - this.#random() / 2))
  }

  /** All is well: the next pause is the shortest again. */
  reset(): void {
    this.#attempts = 0
  }
}
