import { ensureError } from "../../errors.js"
import { Circuit, type CircuitOptions, type CircuitState, type Health } from "./circuit.js"
import type { BrokerClock } from "./clock.js"
import type { Ending } from "./ending.js"
import { HoldOff, type Trial } from "./hold-off.js"
import type { Permit, RateLimiter, RateLimits } from "./ports.js"
import { circuitOpen, deadlinePassed, heldOff, queueFull } from "./refusals.js"
import { type Urgency, UrgencyQueue } from "./urgency-queue.js"

/** One that wants to send a request. */
export interface Applicant extends Urgency {
  readonly ending: Ending
  /** An estimate of what it will use; only asked where tokens are limited. */
  tokens(): number
  /** Whether it can wait so long for a provider that is left alone, or that said when to come back. */
  waits(reason: "circuit" | "busy", untilMs: number): boolean
}

/** The right to send one request now. It must be ended. */
export interface Turn {
  /** Whether it comes too late to be used: end it, and take another. */
  readonly lapsed: boolean
  /** The answer has begun: the provider is there, and has taken the request. */
  answers(): void
  /**
   * @param health what the request says of its provider
   * @param more `tokens` that it has used, where that is known; `askedMs` after which the provider wants to be asked again
   */
  end(health: Health, more?: { readonly tokens?: number; readonly askedMs?: number }): void
}

export interface LaneOptions {
  readonly provider: string
  readonly account: string
  readonly concurrency: number
  readonly waitingMax: number
  /** `undefined`: no limit but what the provider says itself. */
  readonly limits: RateLimits | undefined
  readonly circuit: CircuitOptions
}

export interface LanePorts {
  readonly limiter: RateLimiter
  readonly clock: BrokerClock
  readonly circuitChanged: (provider: string, state: CircuitState) => void
}

/** Two clocks tell the two pauses; one that is longer by less is the same one. */
const SAME_MS = 50

const NO_LIMITS: RateLimits = {}

interface Waiting extends Urgency {
  readonly applicant: Applicant
  readonly grant: (permit: Permit | undefined) => void
  readonly refuse: (error: unknown) => void
}

/**
 * The way to one provider. A request is sent when fewer than `concurrency` run, the circuit lets it through, the provider
 * does not want to be left alone, and the limits of its key have room. What cannot be sent waits, and whenever one may go
 * it is the most urgent of those that wait at that moment.
 */
export class Lane {
  readonly #options: LaneOptions
  readonly #ports: LanePorts
  readonly #circuit: Circuit
  readonly #holdOff: HoldOff
  readonly #waiting = new UrgencyQueue<Waiting>()
  #running = 0
  /** The limiter is being asked, for the one that was the most urgent then. */
  #asking: AbortController | undefined
  #cancelWake: (() => void) | undefined

  constructor(options: LaneOptions, ports: LanePorts) {
    this.#options = options
    this.#ports = ports
    this.#holdOff = new HoldOff(options, ports.limiter, ports.clock, () => this.#serve())
    this.#circuit = new Circuit(options.circuit, ports.clock, (state) => {
      ports.circuitChanged(options.provider, state)
    })
  }

  get running(): number {
    return this.#running
  }

  get waiting(): number {
    return this.#waiting.size
  }

  get circuit(): CircuitState["circuit"] {
    return this.#circuit.state.circuit
  }

  /** Until when nobody is let through, in milliseconds since 1970; 0 when one may. */
  get untilMs(): number {
    const closedForMs = this.#circuit.closedForMs
    const circuitMs = Number.isFinite(closedForMs) && closedForMs > 0 ? this.#ports.clock.now() + closedForMs : 0
    return Math.max(circuitMs, this.#holdOff.untilMs)
  }

  /**
   * Waits until a request may be sent.
   *
   * @throws RetryableError `LLM_TIMEOUT`, `LLM_QUEUE_FULL`, `LLM_CIRCUIT_OPEN`, `LLM_BUSY`; why the call has ended; what the
   *   limiter throws
   */
  turn(applicant: Applicant): Promise<Turn> {
    if (applicant.ending.reason !== undefined) return Promise.reject(applicant.ending.reason)
    const refusal = this.#refusal(applicant)
    if (refusal !== undefined) return Promise.reject(refusal)
    if (this.#waiting.size === 0 && this.#isOpen() && this.#limits === undefined) {
      return Promise.resolve(this.#begin(undefined))
    }
    return this.#wait(applicant)
  }

  /** The provider said when it wants to be asked again: nobody asks before, on no node. */
  holdOff(ms: number): void {
    const { provider, account } = this.#options
    this.#ports.limiter.holdOff(provider, account, this.#ports.clock.now() + ms)
    this.#holdOff.notice()
  }

  #wait(applicant: Applicant): Promise<Turn> {
    const { provider, waitingMax } = this.#options
    if (this.#waiting.size >= waitingMax) return Promise.reject(queueFull(provider, waitingMax))
    const { clock } = this.#ports
    const { ending, priority, deadlineMs, arrival } = applicant
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.remove(waiting)
        cancelDeadline?.()
        off()
      }
      const refuse = (error: unknown): void => {
        leave()
        reject(error)
        if (this.#waiting.size === 0) this.#rest()
      }
      const grant = (permit: Permit | undefined): void => {
        leave()
        resolve(this.#begin(permit))
      }
      const waiting: Waiting = { priority, deadlineMs, arrival, applicant, grant, refuse }
      const cancelDeadline = Number.isFinite(deadlineMs)
        ? clock.after(deadlineMs - clock.now(), () => refuse(deadlinePassed(provider)))
        : undefined
      const off = ending.on(refuse)
      this.#waiting.add(waiting)
      this.#serve()
    })
  }

  /** Lets through whoever may go, the most urgent first. */
  #serve(): void {
    for (let first = this.#waiting.first(); first !== undefined; first = this.#waiting.first()) {
      if (this.#asking !== undefined) return
      if (!this.#isOpen()) {
        this.#wakeLater()
        return
      }
      const limits = this.#limits
      if (limits === undefined) first.grant(undefined)
      else void this.#ask(first, limits)
    }
  }

  /** Asks the limiter for the most urgent one; what it grants goes to whoever is the most urgent then, and fits. */
  async #ask({ applicant, refuse }: Waiting, limits: RateLimits): Promise<void> {
    const { provider, account } = this.#options
    const asking = new AbortController()
    this.#asking = asking
    const tokens = limits.tokensPerMinute === undefined ? 0 : applicant.tokens()
    try {
      this.#hand(await this.#ports.limiter.take({ provider, account, tokens }, limits, asking.signal), tokens, limits)
    } catch (error) {
      if (!asking.signal.aborted) refuse(ensureError(error))
    } finally {
      this.#asking = undefined
      this.#serve()
    }
  }

  #hand(permit: Permit, tokens: number, limits: RateLimits): void {
    const fits = ({ applicant }: Waiting): boolean =>
      limits.tokensPerMinute === undefined || applicant.tokens() <= tokens
    const usable = permit.lapsed !== true && this.#isOpen()
    const chosen = usable ? this.#waiting.firstOf(fits) : undefined
    if (chosen === undefined) permit.used(0)
    else chosen.grant(permit)
  }

  #begin(permit: Permit | undefined): Turn {
    this.#running++
    const trial = this.#holdOff.begin()
    let probe = this.#circuit.begin()
    let ended = false
    return {
      get lapsed() {
        return permit?.lapsed === true
      },
      answers: () => {
        if (ended) return
        // Only what tries the provider decides now: an answer that breaks off later must still count as a failure.
        if (probe) this.#circuit.end(probe, "alive")
        probe = false
        this.#holdOff.take(trial)
        this.#serve()
      },
      end: (health, { tokens, askedMs } = {}) => {
        if (ended) return
        ended = true
        this.#end({ permit, trial, probe }, health, tokens, askedMs)
      },
    }
  }

  #end(
    { permit, trial, probe }: { permit: Permit | undefined; trial: Trial | undefined; probe: boolean },
    health: Health,
    tokens: number | undefined,
    askedMs: number | undefined,
  ): void {
    this.#running--
    if (tokens !== undefined) permit?.used(tokens)
    if (askedMs !== undefined) this.holdOff(askedMs)
    this.#holdOff.end(trial, health === "alive")
    this.#circuit.end(probe, health, askedMs)
    if (this.#waiting.size === 0) return
    if (health === "failing") this.#sendAway()
    this.#serve()
  }

  /** Those that cannot wait for the provider any longer go at once, with what they have of their time. */
  #sendAway(): void {
    for (const waiting of this.#waiting.all()) {
      const refusal = this.#refusal(waiting.applicant)
      if (refusal !== undefined) waiting.refuse(refusal)
    }
  }

  #refusal({ deadlineMs, waits }: Applicant): Error | undefined {
    const { provider } = this.#options
    const nowMs = this.#ports.clock.now()
    if (deadlineMs <= nowMs) return deadlinePassed(provider)
    const heldMs = Math.max(0, this.#holdOff.untilMs - nowMs)
    const closedForMs = this.#circuit.closedForMs
    if (closedForMs > 0 && closedForMs > heldMs + SAME_MS) {
      // How long a probe is out nobody knows; it may come back at any moment.
      const probing = closedForMs === Number.POSITIVE_INFINITY
      if (waits("circuit", nowMs + (probing ? 0 : closedForMs))) return undefined
      return circuitOpen(provider, probing ? this.#options.circuit.openMs : closedForMs)
    }
    if (heldMs > 0 && !waits("busy", nowMs + heldMs)) return heldOff(provider, heldMs)
    return undefined
  }

  /** What the limiter is asked for; nothing, where there is no limit: but the first after a pause go by its leave. */
  get #limits(): RateLimits | undefined {
    return this.#options.limits ?? (this.#holdOff.isReturning ? NO_LIMITS : undefined)
  }

  #isOpen(): boolean {
    return this.#running < this.#options.concurrency && this.#circuit.closedForMs === 0 && this.#holdOff.hasRoom
  }

  /** Comes back when a pause is over. What waits for a request to end is served when it ends. */
  #wakeLater(): void {
    this.#cancelWake?.()
    this.#cancelWake = undefined
    const untilMs = this.untilMs
    if (untilMs === 0) return
    this.#cancelWake = this.#ports.clock.after(untilMs - this.#ports.clock.now(), () => {
      this.#cancelWake = undefined
      this.#sendAway()
      this.#serve()
    })
  }

  /** Nobody waits: neither the limiter nor a timer need work. */
  #rest(): void {
    this.#asking?.abort()
    this.#cancelWake?.()
    this.#cancelWake = undefined
  }
}
