import { Circuit, type CircuitOptions, type CircuitState, type Health } from "./circuit.js"
import type { BrokerClock } from "./clock.js"
import { HoldOff } from "./hold-off.js"
import type { RateLimiter } from "./ports.js"
import { circuitOpen, deadlinePassed, heldOff } from "./refusals.js"

/** How long somebody can wait. */
export interface Patience {
  /** `Infinity` where there is none. */
  readonly deadlineMs: number
  /** Whether it can wait so long for a provider that is left alone, or that said when to come back. */
  waits(reason: "circuit" | "busy", untilMs: number): boolean
}

/** A request that was let through. It must be ended. */
export interface Passage {
  /** Its answer has begun: the provider is there, and has taken it. */
  answers(): void
  /** @param askedMs after which the provider wants to be asked again */
  end(health: Health, askedMs: number | undefined): void
}

export interface GateOptions {
  readonly provider: string
  readonly account: string
  readonly concurrency: number
  readonly circuit: CircuitOptions
}

export interface GatePorts {
  readonly limiter: RateLimiter
  readonly clock: BrokerClock
  readonly circuitChanged: (provider: string, state: CircuitState) => void
}

/** Two clocks tell the two pauses; one that is longer by less is the same one. */
const SAME_MS = 50

/**
 * Whether a provider may be asked now: fewer than `concurrency` requests run, its circuit is closed, and it does not want
 * to be left alone.
 */
export class Gate {
  readonly #options: GateOptions
  readonly #ports: GatePorts
  readonly #circuit: Circuit
  readonly #holdOff: HoldOff
  #running = 0

  /** @param widened told when more may pass than before, though nothing has ended */
  constructor(options: GateOptions, ports: GatePorts, widened: () => void) {
    this.#options = options
    this.#ports = ports
    this.#holdOff = new HoldOff(options, ports.limiter, ports.clock, widened)
    this.#circuit = new Circuit(options.circuit, ports.clock, (state) => {
      ports.circuitChanged(options.provider, state)
    })
  }

  get running(): number {
    return this.#running
  }

  get circuit(): CircuitState["circuit"] {
    return this.#circuit.state.circuit
  }

  get isOpen(): boolean {
    return this.#running < this.#options.concurrency && this.#circuit.closedForMs === 0 && this.#holdOff.hasRoom
  }

  /** Whether a pause was over a moment ago, and few may pass. */
  get isReturning(): boolean {
    return this.#holdOff.isReturning
  }

  /** Until when nobody is let through, in milliseconds since 1970; 0 when one may, or nobody knows. */
  get untilMs(): number {
    const closedForMs = this.#circuit.closedForMs
    const circuitMs = Number.isFinite(closedForMs) && closedForMs > 0 ? this.#ports.clock.now() + closedForMs : 0
    return Math.max(circuitMs, this.#holdOff.untilMs)
  }

  /** Why somebody need not wait: it would be longer than they can. */
  refusal(patience: Patience): Error | undefined {
    const { provider, circuit } = this.#options
    const nowMs = this.#ports.clock.now()
    if (patience.deadlineMs <= nowMs) return deadlinePassed(provider)
    const heldMs = Math.max(0, this.#holdOff.untilMs - nowMs)
    const closedForMs = this.#circuit.closedForMs
    if (closedForMs > 0 && closedForMs > heldMs + SAME_MS) {
      // How long a probe is out nobody knows; it may come back at any moment.
      const probing = closedForMs === Number.POSITIVE_INFINITY
      if (patience.waits("circuit", nowMs + (probing ? 0 : closedForMs))) return undefined
      return circuitOpen(provider, probing ? circuit.openMs : closedForMs)
    }
    if (heldMs > 0 && !patience.waits("busy", nowMs + heldMs)) return heldOff(provider, heldMs)
    return undefined
  }

  /** Lets one through, which {@link isOpen} must have allowed. */
  begin(): Passage {
    this.#running++
    const trial = this.#holdOff.begin()
    let probe = this.#circuit.begin()
    return {
      answers: () => {
        // Only what tries the provider decides now: an answer that breaks off later must still count as a failure.
        if (probe) this.#circuit.end(probe, "alive")
        probe = false
        this.#holdOff.take(trial)
      },
      end: (health, askedMs) => {
        this.#running--
        if (askedMs !== undefined) this.#leaveAlone(askedMs)
        this.#holdOff.end(trial, health === "alive")
        this.#circuit.end(probe, health, askedMs)
      },
    }
  }

  /** The provider said when it wants to be asked again: nobody asks before, on no node. */
  #leaveAlone(ms: number): void {
    const { provider, account } = this.#options
    this.#ports.limiter.holdOff(provider, account, this.#ports.clock.now() + ms)
    this.#holdOff.notice()
  }
}
