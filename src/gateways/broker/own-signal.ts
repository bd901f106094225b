import { setMaxListeners } from "node:events"

/**
 * A signal for one call: aborted with the caller's, and when the broker is closed. Unlike `AbortSignal.any` it is let go
 * of when the call has ended, however long the caller's signal lives.
 */
export class OwnSignal {
  readonly #own = new AbortController()
  readonly #given: AbortSignal
  readonly #all: Set<OwnSignal>
  readonly #follow = (): void => this.#own.abort(this.#given.reason)

  /** @param all where it is to be found while the call lasts */
  constructor(given: AbortSignal, all: Set<OwnSignal>) {
    this.#given = given
    this.#all = all
    if (given.aborted) this.#follow()
    else {
      // One caller may have many calls under way with one signal: that is no leak.
      setMaxListeners(0, given)
      given.addEventListener("abort", this.#follow, { once: true })
    }
    all.add(this)
  }

  get signal(): AbortSignal {
    return this.#own.signal
  }

  abort(reason: Error): void {
    this.#own.abort(reason)
  }

  end(): void {
    this.#given.removeEventListener("abort", this.#follow)
    this.#all.delete(this)
  }
}
