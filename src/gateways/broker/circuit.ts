import type { BrokerClock } from "./clock.js"

/** What a request says of its provider. */
export type Health =
  /** It answered; also with a refusal that is the request's own fault. */
  | "alive"
  /** It failed, or asked to be left alone. */
  | "failing"
  /** Nothing: the caller has given up, or the request was never sent. */
  | "unknown"

/** Each state with exactly what it needs. Times are those of the clock's `steady`. */
export type CircuitState =
  | { readonly circuit: "closed"; readonly failures: number }
  | { readonly circuit: "open"; readonly untilMs: number }
  | { readonly circuit: "half-open" }

export interface CircuitOptions {
  /** So many failures in a row open it. */
  readonly failures: number
  /** For so long nobody is let through, in milliseconds. */
  readonly openMs: number
}

/**
 * Keeps calls away from a provider that fails again and again. Closed, it lets all through and counts failures in a row.
 * Open, it lets none through until its time is over; then one, the probe. While that one is out it is half-open and lets
 * no other through. A probe that is answered closes it, one that fails opens it again, and one that tells nothing (its
 * caller has gone) leaves the place to the next.
 *
 * What was sent before it opened and fails later changes nothing: that is the same trouble, told twice.
 */
export class Circuit {
  readonly #options: CircuitOptions
  readonly #clock: Pick<BrokerClock, "steady">
  readonly #changed: (state: CircuitState) => void
  #state: CircuitState = { circuit: "closed", failures: 0 }

  /** @param changed told when it closes, opens or is tried */
  constructor(options: CircuitOptions, clock: Pick<BrokerClock, "steady">, changed: (state: CircuitState) => void) {
    this.#options = options
    this.#clock = clock
    this.#changed = changed
  }

  get state(): CircuitState {
    return this.#state
  }

  /** In how many milliseconds one may be let through: 0 for now, `Infinity` while a probe is out. */
  get closedForMs(): number {
    if (this.#state.circuit === "closed") return 0
    if (this.#state.circuit === "half-open") return Number.POSITIVE_INFINITY
    return Math.max(0, this.#state.untilMs - this.#clock.steady())
  }

  /** Lets one through, which {@link closedForMs} must have allowed. @returns whether it is the probe */
  begin(): boolean {
    if (this.#state.circuit === "closed") return false
    this.#become({ circuit: "half-open" })
    return true
  }

  /**
   * What became of one that was let through.
   *
   * @param askedMs how long the provider wants to be left alone; then it is open for so long
   */
  end(probe: boolean, health: Health, askedMs?: number): void {
    if (probe) {
      this.#endProbe(health, askedMs)
    } else if (this.#state.circuit === "closed") {
      this.#count(this.#state.failures, health, askedMs)
    }
  }

  #endProbe(health: Health, askedMs: number | undefined): void {
    if (this.#state.circuit !== "half-open") return
    if (health === "alive") this.#become({ circuit: "closed", failures: 0 })
    else if (health === "failing") this.#open(askedMs)
    else this.#become({ circuit: "open", untilMs: this.#clock.steady() })
  }

  #count(failures: number, health: Health, askedMs: number | undefined): void {
    if (health === "unknown") return
    if (health === "failing" && failures + 1 >= this.#options.failures) {
      this.#open(askedMs)
    } else {
      this.#state = { circuit: "closed", failures: health === "failing" ? failures + 1 : 0 }
    }
  }

  #open(askedMs: number | undefined): void {
    this.#become({ circuit: "open", untilMs: this.#clock.steady() + (askedMs ?? this.#options.openMs) })
  }

  #become(state: CircuitState): void {
    this.#state = state
    this.#changed(state)
  }
}
