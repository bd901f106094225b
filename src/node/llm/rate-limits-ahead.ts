import type { Draw, RateLimits } from "../../gateways/broker/ports.js"

/** The right to send one request, as a write has granted it. Times are steady milliseconds. */
export interface Grant {
  readonly revision: number
  readonly tokens: number
  /** When the write was sent: it counts from then, or a little later. */
  readonly since: number
  /** Until when it may be handed out. */
  readonly until: number
  /** It is to show whether the provider answers again. */
  readonly probe: boolean
}

/** Grants of one write. */
export interface Grants {
  readonly grant: Grant
  readonly count: number
}

const GRACE_MS_MAX = 30_000

/**
 * How long a request may be on its way, from the write that grants it to the provider: one half for the write's ack, the
 * other for the caller and the network. What is acked later is not used. A bus that is slow at this moment gets more time,
 * since otherwise nothing would ever be sent.
 */
export class Grace {
  #ms: number

  constructor(private readonly leastMs: number) {
    this.#ms = leastMs
  }

  get ms(): number {
    return this.#ms
  }

  /** A write was acked after so long. @returns whether what it granted may be used */
  answered(tookMs: number, graceMs: number): boolean {
    const inTime = tookMs <= graceMs / 2
    if (!inTime) this.#ms = Math.min(GRACE_MS_MAX, graceMs * 2)
    else if (tookMs < graceMs / 8) this.#ms = Math.max(this.leastMs, graceMs / 2)
    return inTime
  }
}

/** How much is reserved ahead, in milliseconds of the limit. */
const AHEAD_MS = 100

/**
 * Where limits are high and calls many, one write reserves for the next ones too: twice as many each time, as long as calls
 * come quickly. What is not used in time lapses.
 */
export class Ahead {
  #reserved: Grants | undefined
  #size = 1
  #wroteAt = Number.NEGATIVE_INFINITY

  constructor(private readonly windowMs: number) {}

  /** The next of what is reserved, if it is enough for so many tokens. */
  take(tokens: number): Grant | undefined {
    if (this.#reserved === undefined || this.#reserved.grant.tokens < tokens) return undefined
    const { grant, count } = this.#reserved
    this.#reserved = count === 1 ? undefined : { grant, count: count - 1 }
    return grant
  }

  /** What has lapsed; it will not be used. */
  takeLapsed(now: number): Grants | undefined {
    return this.#reserved !== undefined && this.#reserved.grant.until < now ? this.takeBack() : undefined
  }

  /** All that is reserved; it will not be used. */
  takeBack(): Grants | undefined {
    const unused = this.#reserved
    this.#reserved = undefined
    if (unused !== undefined) this.#size = 1
    return unused
  }

  /** How many to reserve with a write that grants some anyway. Never more than a quarter of the room: others want to send too. */
  size(like: { readonly draw: Draw; readonly limits: RateLimits }, now: number, granted: number, room: number): number {
    const { requestsPerMinute = Infinity, tokensPerMinute = Infinity } = like.limits
    const perWindow = Math.min(requestsPerMinute, tokensPerMinute / Math.max(1, like.draw.tokens))
    const most = Math.floor((perWindow * AHEAD_MS) / this.windowMs)
    this.#size = now - this.#wroteAt > AHEAD_MS ? 1 : Math.min(most, this.#size * 2)
    this.#wroteAt = now
    return Math.max(0, Math.min(this.#size - granted, Math.floor(room / 4)))
  }

  /** @param count of a grant, reserved; what was reserved before must have been taken back */
  put(grant: Grant, count: number): void {
    if (count > 0) this.#reserved = { grant, count }
  }
}
