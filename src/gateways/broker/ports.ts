/** What one request may take from the limits of a provider and key. */
export interface Draw {
  readonly provider: string
  readonly account: string
  /** An estimate. */
  readonly tokens: number
}

/** How much of a provider may be used, by one key, by the whole mesh. */
export interface RateLimits {
  readonly requestsPerMinute?: number
  readonly tokensPerMinute?: number
}

/** The right to send one request now. */
export interface Permit {
  /** Corrects the estimate: later requests have more room, or less. */
  used(tokens: number): void
  /**
   * Whether so much time has passed that the request must not be sent any more, since another minute may count it: give
   * the permit back (`used(0)`) and take another. Without it a permit does not lapse.
   */
  readonly lapsed?: boolean
}

/**
 * Keeps the limits of providers, for all nodes of the mesh at a time: in any minute, wherever it begins, no more than the
 * limit is sent.
 */
export interface RateLimiter {
  /** Waits until a request may be sent. @throws the signal's reason */
  take(draw: Draw, limits: RateLimits, signal: AbortSignal): Promise<Permit>
  /** The provider said when to come back: nobody asks it before, on no node. */
  holdOff(provider: string, account: string, untilMs: number): void
  /** Until when nobody asks, in milliseconds since 1970; 0 when one may. */
  heldUntilMs(provider: string, account: string): number
}

/** Answers that may be given again. */
export interface ResponseCache {
  get(key: string): Promise<unknown>
  /** Never throws: what cannot be kept is not. */
  put(key: string, answer: unknown, keepMs: number): Promise<void>
}
