import type { Clock } from "../../agents/clock.js"

/** How much faster than the server's a node's clock may run: 1 ms a second is five times what is usual. */
const DRIFT = 0.001

/**
 * What time it is at the server, never too late: the newest thing that was heard from it is at least as old as what the
 * node's clock has counted since. No two machines' clocks are compared, so it does not matter how they are set.
 *
 * A server whose clock is set while it runs is noticed when it is set back. One that is set forward makes what was
 * counted seem older than it is.
 */
export class ServerTime {
  #newest = { revision: 0, atMs: 0 }
  #heard: { readonly atMs: number; readonly steadyMs: number } | undefined

  constructor(private readonly clock: Pick<Clock, "steady">) {}

  /** Milliseconds since 1970; not later than it is at the server, and a little earlier. `-Infinity` before anything was heard. */
  now(): number {
    if (this.#heard === undefined) return -Infinity
    const passedMs = Math.max(0, this.clock.steady() - this.#heard.steadyMs)
    return this.#heard.atMs + passedMs * (1 - DRIFT)
  }

  /** A message came that the server had stored at that time. */
  message(revision: number, atMs: number): void {
    const setBack = revision > this.#newest.revision && atMs < this.#newest.atMs
    if (revision > this.#newest.revision) this.#newest = { revision, atMs }
    if (setBack) this.#heard = undefined
    this.answer(atMs)
  }

  /** The server said what time it was. */
  answer(atMs: number): void {
    if (atMs > this.now()) this.#heard = { atMs, steadyMs: this.clock.steady() }
  }
}
