import { RetryableError } from "../../errors.js"
import type { Draw, Permit, RateLimits } from "../../gateways/broker/ports.js"

/** A call that waits for its permit. */
export interface Waiter {
  readonly draw: Draw
  readonly limits: RateLimits
  readonly grant: (permit: Permit) => void
  readonly fail: (reason: unknown) => void
}

const WAITING_MAX = 10_000

/** The calls that wait for one account, in the order in which they came: who is more urgent, the broker decides. */
export class Line {
  readonly #waiters: Waiter[] = []

  get length(): number {
    return this.#waiters.length
  }

  get first(): Waiter | undefined {
    return this.#waiters[0]
  }

  /** The first so many. */
  head(count: number): readonly Waiter[] {
    return this.#waiters.slice(0, count)
  }

  /**
   * Waits.
   *
   * @param left called when it gave up
   * @throws the signal's reason; RetryableError `LLM_QUEUE_FULL`
   */
  join(draw: Draw, limits: RateLimits, signal: AbortSignal, left: () => void): Promise<Permit> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      if (this.#waiters.length >= WAITING_MAX) return reject(queueFull(draw))
      const leave = (): void => {
        this.leave(waiter)
        reject(signal.reason)
        left()
      }
      const settle = (): void => signal.removeEventListener("abort", leave)
      const grant = (permit: Permit): void => {
        settle()
        resolve(permit)
      }
      const fail = (reason: unknown): void => {
        settle()
        reject(reason)
      }
      const waiter: Waiter = { draw, limits, grant, fail }
      signal.addEventListener("abort", leave, { once: true })
      this.#waiters.push(waiter)
    })
  }

  /** Whether it was still there. */
  leave(waiter: Waiter): boolean {
    const place = this.#waiters.indexOf(waiter)
    if (place >= 0) this.#waiters.splice(place, 1)
    return place >= 0
  }

  failAll(reason: unknown): void {
    for (const { fail } of this.#waiters.splice(0)) fail(reason)
  }
}

function queueFull({ provider }: Draw): RetryableError {
  return new RetryableError(
    `Cannot ask "${provider}": ${WAITING_MAX} calls wait for its limits already. Ask less often, or raise the limits`,
    { code: "LLM_QUEUE_FULL", details: { provider } },
  )
}
