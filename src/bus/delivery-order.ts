/** After a reset what was delivered before it may still arrive for so long. */
const STRAGGLERS_MS = 1_000

/**
 * Where a delivery stands among those after a reset:
 *
 * - `before`: it was sent before the reset and will come again;
 * - `first`, `next`: as expected; what is before the first counts no more;
 * - `gap`: something between the last one and this one is missing.
 */
export type Place = "before" | "first" | "next" | "gap"

/**
 * Watches that nothing between the server and this node is missing. A server numbers what it hands out of a consumer
 * without a gap, from 1 after each reset. What a broken connection swallows would come back only after the ack wait,
 * behind newer events of its key; a hole in the numbers tells at once.
 */
export class DeliveryOrder {
  #next: number | undefined
  #resetAt = Number.POSITIVE_INFINITY

  /** The server has confirmed the reset. */
  reset(now: number): void {
    this.#resetAt = now
  }

  /** @param number of the delivery, by its consumer; `now` in milliseconds */
  place(number: number, now: number): Place {
    if (number === 1) {
      this.#next = 2
      return "first"
    }
    if (this.#next === undefined) return now - this.#resetAt > STRAGGLERS_MS ? "gap" : "before"
    if (number !== this.#next) return "gap"
    this.#next += 1
    return "next"
  }
}
