import type { BrokerClock } from "./clock.js"
import type { RateLimiter } from "./ports.js"

/** One wave of requests after a pause: how many may be out at a time, and how many are. */
export interface Wave {
  width: number
  running: number
}

/** `clear`: nobody is held off. `held`: until then. `returning`: the pause is over, and a few try whether it is enough. */
type HoldState =
  | { readonly hold: "clear" }
  | { readonly hold: "held" }
  | { readonly hold: "returning"; readonly wave: Wave }

/**
 * What "come back later" means for all calls of a provider and key. Until then nobody asks. Then one asks; when it is
 * answered two may, then four, until as many run as ever: a crowd that returns at the same moment would be turned away
 * at the same moment.
 *
 * The time itself is the limiter's, so that all nodes keep to it.
 */
export class HoldOff {
  readonly #untilMs: () => number
  readonly #clock: Pick<BrokerClock, "now">
  readonly #concurrency: number
  #state: HoldState = { hold: "clear" }

  constructor(
    { provider, account }: { readonly provider: string; readonly account: string },
    limiter: RateLimiter,
    clock: Pick<BrokerClock, "now">,
    concurrency: number,
  ) {
    this.#untilMs = () => limiter.heldUntilMs(provider, account)
    this.#clock = clock
    this.#concurrency = concurrency
  }

  /** Until when nobody may ask, in milliseconds since 1970; 0 when one may. */
  get untilMs(): number {
    const untilMs = this.#untilMs()
    if (untilMs > this.#clock.now()) {
      if (this.#state.hold !== "held") this.#state = { hold: "held" }
      return untilMs
    }
    if (this.#state.hold === "held") this.#state = { hold: "returning", wave: { width: 1, running: 0 } }
    return 0
  }

  /** Remembers a pause that has begun, so that its end is not missed when nobody asks meanwhile. */
  notice(): void {
    if (this.#untilMs() > this.#clock.now()) this.#state = { hold: "held" }
  }

  /** Whether one more may ask now. */
  get hasRoom(): boolean {
    if (this.untilMs > 0) return false
    return this.#state.hold !== "returning" || this.#state.wave.running < this.#state.wave.width
  }

  /** One asks, which {@link hasRoom} must have allowed. @returns to be handed to {@link end} */
  begin(): Wave | undefined {
    if (this.#state.hold !== "returning") return undefined
    this.#state.wave.running++
    return this.#state.wave
  }

  /** @param answered whether the provider took it; if it said "later" once more, the limiter knows already */
  end(wave: Wave | undefined, answered: boolean): void {
    if (wave === undefined) return
    wave.running--
    if (!answered || this.#state.hold !== "returning" || this.#state.wave !== wave) return
    wave.width *= 2
    if (wave.width >= this.#concurrency) this.#state = { hold: "clear" }
  }
}
