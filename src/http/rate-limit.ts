import { HttpProblem } from "./problem.js"

/** How much is let in. */
export interface RateLimit {
  /** Sustained rate: events for `POST /events`, requests for webhooks. */
  readonly perSecond: number
  /** How much may come at once after a quiet time. Default: twice `perSecond`. */
  readonly burst?: number | undefined
}

/** A token bucket of this process. */
export class TokenBucket {
  readonly #perSecond: number
  readonly #burst: number
  readonly #now: () => number
  #tokens: number
  #at: number

  /** @param now a clock in milliseconds that never goes back */
  constructor({ perSecond, burst = 2 * perSecond }: RateLimit, now: () => number = () => performance.now()) {
    this.#perSecond = perSecond
    this.#burst = Math.max(1, burst)
    this.#now = now
    this.#tokens = this.#burst
    this.#at = now()
  }

  /**
   * Takes one token.
   *
   * @throws HttpProblem 429 `RATE_LIMITED`, with the seconds until there is one in `Retry-After`
   */
  take(): void {
    const now = this.#now()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1_000) * this.#perSecond)
    this.#at = now
    if (this.#tokens < 1) {
      const seconds = Math.max(1, Math.ceil((1 - this.#tokens) / this.#perSecond))
      throw new HttpProblem(429, "RATE_LIMITED", `Too many requests; come back in ${seconds} s`, {
        headers: { "retry-after": String(seconds) },
      })
    }
    this.#tokens -= 1
  }

  /** Takes more than there may be: a batch that turned out to be large is paid for by those after it. */
  owe(tokens: number): void {
    this.#tokens -= tokens
  }
}
