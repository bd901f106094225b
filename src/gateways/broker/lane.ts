import { ensureError } from "../../errors.js"
import type { CircuitState, Health } from "./circuit.js"
import type { Ending } from "./ending.js"
import { Gate, type GateOptions, type GatePorts, type Patience } from "./gate.js"
import type { Permit, RateLimits } from "./ports.js"
import { deadlinePassed, queueFull } from "./refusals.js"
import { type Urgency, UrgencyQueue } from "./urgency-queue.js"

/** One that wants to send a request. */
export interface Applicant extends Urgency, Patience {
  readonly ending: Ending
  /** An estimate of what it will use; only asked where tokens are limited. */
  tokens(): number
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

export interface LaneOptions extends GateOptions {
  readonly waitingMax: number
  /** `undefined`: no limit but what the provider says itself. */
  readonly limits: RateLimits | undefined
}

const NO_LIMITS: RateLimits = {}

interface Waiting extends Urgency {
  readonly applicant: Applicant
  readonly grant: (permit: Permit | undefined) => void
  readonly refuse: (error: unknown) => void
}

/**
 * The way to one provider. A request is sent when the gate lets it through and the limits of its key have room. What
 * cannot be sent waits, and whenever one may go it is the most urgent of those that wait at that moment.
 */
export class Lane {
  readonly #options: LaneOptions
  readonly #ports: GatePorts
  readonly #gate: Gate
  readonly #waiting = new UrgencyQueue<Waiting>()
  /** The limiter is being asked, for the one that was the most urgent then. */
  #asking: AbortController | undefined
  #cancelWake: (() => void) | undefined

  constructor(options: LaneOptions, ports: GatePorts) {
    this.#options = options
    this.#ports = ports
    this.#gate = new Gate(options, ports, () => this.#serve())
  }

  get running(): number {
    return this.#gate.running
  }

  get waiting(): number {
    return this.#waiting.size
  }

  get circuit(): CircuitState["circuit"] {
    return this.#gate.circuit
  }

  /** Until when nobody is let through, in milliseconds since 1970; 0 when one may. */
  get untilMs(): number {
    return this.#gate.untilMs
  }

  /**
   * Waits until a request may be sent.
   *
   * @throws RetryableError `LLM_TIMEOUT`, `LLM_QUEUE_FULL`, `LLM_CIRCUIT_OPEN`, `LLM_BUSY`; why the call has ended; what the
   *   limiter throws
   */
  turn(applicant: Applicant): Promise<Turn> {
    if (applicant.ending.reason !== undefined) return Promise.reject(applicant.ending.reason)
    const refusal = this.#gate.refusal(applicant)
    if (refusal !== undefined) return Promise.reject(refusal)
    if (this.#waiting.size === 0 && this.#gate.isOpen && this.#limits === undefined) {
      return Promise.resolve(this.#begin(undefined))
    }
    return this.#wait(applicant)
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
      if (!this.#gate.isOpen) {
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
    const usable = permit.lapsed !== true && this.#gate.isOpen
    const chosen = usable ? this.#waiting.firstOf(fits) : undefined
    if (chosen === undefined) permit.used(0)
    else chosen.grant(permit)
  }

  #begin(permit: Permit | undefined): Turn {
    const passage = this.#gate.begin()
    let ended = false
    return {
      get lapsed() {
        return permit?.lapsed === true
      },
      answers: () => {
        if (ended) return
        passage.answers()
        this.#serve()
      },
      end: (health, { tokens, askedMs } = {}) => {
        if (ended) return
        ended = true
        if (tokens !== undefined) permit?.used(tokens)
        passage.end(health, askedMs)
        if (this.#waiting.size === 0) return
        if (health === "failing") this.#sendAway()
        this.#serve()
      },
    }
  }

  /** Those that cannot wait for the provider any longer go at once, with what they have of their time. */
  #sendAway(): void {
    for (const waiting of this.#waiting.all()) {
      const refusal = this.#gate.refusal(waiting.applicant)
      if (refusal !== undefined) waiting.refuse(refusal)
    }
  }

  /** What the limiter is asked for; nothing, where there is no limit: but the first after a pause go by its leave. */
  get #limits(): RateLimits | undefined {
    return this.#options.limits ?? (this.#gate.isReturning ? NO_LIMITS : undefined)
  }

  /** Comes back when a pause is over. What waits for a request to end is served when it ends. */
  #wakeLater(): void {
    this.#cancelWake?.()
    this.#cancelWake = undefined
    const { untilMs } = this.#gate
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
