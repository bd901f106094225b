import { setMaxListeners } from "node:events"

/** Breaks off what waits. */
type BreakOff = (reason: unknown) => void

/** All waits of a broker, so that they can be broken off when it is closed. */
export class Waits {
  readonly all = new Set<BreakOff>()
  #closedFor: Error | undefined

  /** Why nothing may wait any longer. */
  get closedFor(): Error | undefined {
    return this.#closedFor
  }

  /** Breaks all waits off, those to come too. */
  close(reason: Error): void {
    this.#closedFor = reason
    for (const breakOff of [...this.all]) breakOff(reason)
  }
}

/**
 * What ends a call before its time: its caller's signal, or the broker's end. Less than a signal of its own, which would
 * do the same, and took a third of the time that a call spends in the broker.
 */
export class Ending {
  readonly #signal: AbortSignal
  readonly #waits: Waits

  constructor(signal: AbortSignal, waits: Waits) {
    // One caller may have many calls under way with one signal: that is no leak.
    setMaxListeners(0, signal)
    this.#signal = signal
    this.#waits = waits
  }

  /** Why the call has ended; `undefined` while it may go on. */
  get reason(): unknown {
    return this.#signal.aborted ? this.#signal.reason : this.#waits.closedFor
  }

  /**
   * Has `breakOff` called, once, when the call ends; never when it has ended already: look at {@link reason} first.
   *
   * @returns takes it back
   */
  on(breakOff: BreakOff): () => void {
    const aborted = (): void => breakOff(this.#signal.reason)
    this.#signal.addEventListener("abort", aborted, { once: true })
    this.#waits.all.add(breakOff)
    return () => {
      this.#signal.removeEventListener("abort", aborted)
      this.#waits.all.delete(breakOff)
    }
  }
}
