import type { BrokerClock } from "./clock.js"
import type { RateLimiter } from "./ports.js"

/**
 * Who says "later" says so at once: a request that was not turned away for so long, in milliseconds, was taken, however
 * long its answer takes.
 */
const TAKEN_MS = 2_000

/** How many may be out at a time while a pause's end is tried, and how many are. */
interface Wave {
  width: number
  running: number
}

/** One request that was sent while the end of a pause was tried. */
export interface Trial {
  readonly wave: Wave
  taken: boolean
  readonly cancel: () => void
}

/** `clear`: nobody is held off. `held`: until then. `returning`: the pause is over, and a few try whether it is enough. */
type HoldState =
  | { readonly hold: "clear" }
  | { readonly hold: "held" }
  | { readonly hold: "returning"; readonly wave: Wave }

/**
 * What "come back later" means for all calls of a provider and key. Until then nobody asks. Then one asks; when it was
 * taken two may, then four, until as many run as ever: a crowd that returns at the same moment would be turned away at
 * the same moment.
 *
 * The time itself is the limiter's, so that all nodes keep to it.
 */
export class HoldOff {
  readonly #untilMs: () => number
  readonly #clock: BrokerClock
  readonly #concurrency: number
  readonly #widened: () => void
  #state: HoldState = { hold: "clear" }

  /** @param widened told when more may be sent than before */
  constructor(
    { provider, account, concurrency }: { provider: string; account: string; concurrency: number },
    limiter: RateLimiter,
    clock: BrokerClock,
    widened: () => void,
  ) {
    this.#untilMs = () => limiter.heldUntilMs(provider, account)
    this.#clock = clock
    this.#concurrency = concurrency
    this.#widened = widened
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

  /** Whether a pause was over a moment ago, and few may ask. */
  get isReturning(): boolean {
    return this.#state.hold === "returning"
  }

  /** One asks, which {@link hasRoom} must have allowed. @returns to be handed to {@link end} */
  begin(): Trial | undefined {
    if (this.#state.hold !== "returning") return undefined
    const { wave } = this.#state
    wave.running++
    const cancel = this.#clock.after(TAKEN_MS, () => this.take(trial))
    const trial: Trial = { wave, taken: false, cancel }
    return trial
  }

  /** The provider has taken it: there is room for more. */
  take(trial: Trial | undefined): void {
    if (trial === undefined || trial.taken) return
    trial.taken = true
    trial.cancel()
    if (this.#state.hold !== "returning" || this.#state.wave !== trial.wave) return
    trial.wave.width *= 2
    if (trial.wave.width >= this.#concurrency) this.#state = { hold: "clear" }
    this.#widened()
  }

  /** @param answered whether the provider took it; if it said "later" once more, the limiter knows already */
  end(trial: Trial | undefined, answered: boolean): void {
    if (trial === undefined) return
    trial.wave.running--
    if (answered) this.take(trial)
    trial.cancel()
  }
}
