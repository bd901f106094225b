import { type BrokerClock, systemClock } from "./clock.js"
import type { Draw, Permit, RateLimiter, RateLimits } from "./ports.js"

const MINUTE_MS = 60_000
/** A permit is used a moment later, and a request is on its way for another: so much longer it counts. */
const MARGIN_MS = 1_000

/** A request that was sent, for as long as it counts. */
interface Entry {
  /** Steady milliseconds. */
  readonly goneAtMs: number
  tokens: number
  counts: boolean
}

interface Waiter {
  readonly draw: Draw
  readonly limits: RateLimits
  readonly grant: (permit: Permit) => void
}

interface Account {
  /** In the order in which they go. */
  readonly entries: Entry[]
  tokens: number
  readonly waiting: Waiter[]
  /** Steady, so that a clock that is set back holds nobody off. */
  heldUntilMs: number
  cancelTimer: (() => void) | undefined
}

/**
 * Keeps the limits of providers for this process alone: a log of what was sent in the last minute, so that no minute,
 * wherever it begins, has more than the limit in it. What waits is served in the order in which it came.
 *
 * A request that is larger than all tokens of a minute is sent when nothing else was sent for a minute.
 */
export class LocalLimiter implements RateLimiter {
  readonly #accounts = new Map<string, Account>()
  readonly #clock: BrokerClock
  readonly #countsMs: number

  constructor({ clock = systemClock, windowMs = MINUTE_MS, marginMs = MARGIN_MS }: LocalLimiterOptions = {}) {
    this.#clock = clock
    this.#countsMs = windowMs + marginMs
  }

  take(draw: Draw, limits: RateLimits, signal: AbortSignal): Promise<Permit> {
    const account = this.#account(draw.provider, draw.account)
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const leave = (): void => {
        account.waiting.splice(account.waiting.indexOf(waiter), 1)
        reject(signal.reason)
        this.#serve(account)
      }
      const grant = (permit: Permit): void => {
        signal.removeEventListener("abort", leave)
        resolve(permit)
      }
      const waiter: Waiter = { draw, limits, grant }
      signal.addEventListener("abort", leave, { once: true })
      account.waiting.push(waiter)
      this.#serve(account)
    })
  }

  holdOff(provider: string, account: string, untilMs: number): void {
    const held = this.#account(provider, account)
    held.heldUntilMs = Math.max(held.heldUntilMs, untilMs - this.#clock.now() + this.#clock.steady())
  }

  heldUntilMs(provider: string, account: string): number {
    const held = this.#accounts.get(keyOf(provider, account))
    const leftMs = held === undefined ? 0 : held.heldUntilMs - this.#clock.steady()
    return leftMs <= 0 ? 0 : this.#clock.now() + Math.ceil(leftMs)
  }

  /** Grants what fits, and comes back when the next may. */
  #serve(account: Account): void {
    account.cancelTimer?.()
    account.cancelTimer = undefined
    for (let first = account.waiting[0]; first !== undefined; first = account.waiting[0]) {
      const waitMs = this.#waitMs(account, first)
      if (waitMs > 0) {
        account.cancelTimer = this.#clock.after(waitMs, () => this.#serve(account))
        return
      }
      account.waiting.shift()
      first.grant(this.#permit(account, first.draw))
    }
  }

  #waitMs(account: Account, { draw, limits }: Waiter): number {
    const heldMs = this.heldUntilMs(draw.provider, draw.account) - this.#clock.now()
    if (heldMs > 0) return heldMs
    const nowMs = this.#clock.steady()
    this.#forget(account, nowMs)
    const { requestsPerMinute = Infinity, tokensPerMinute = Infinity } = limits
    let requests = account.entries.length
    let tokens = account.tokens
    for (const entry of account.entries) {
      if (requests < requestsPerMinute && tokens + draw.tokens <= tokensPerMinute)
        return entryWait(account, requests, nowMs)
      requests--
      tokens -= entry.tokens
    }
    return entryWait(account, 0, nowMs)
  }

  #forget(account: Account, nowMs: number): void {
    for (let oldest = account.entries[0]; oldest !== undefined; oldest = account.entries[0]) {
      if (oldest.goneAtMs > nowMs) return
      account.tokens -= oldest.tokens
      oldest.counts = false
      account.entries.shift()
    }
  }

  #permit(account: Account, { tokens }: Draw): Permit {
    const entry: Entry = { goneAtMs: this.#clock.steady() + this.#countsMs, tokens, counts: true }
    account.entries.push(entry)
    account.tokens += tokens
    return {
      used: (used) => {
        if (!entry.counts) return
        account.tokens += used - entry.tokens
        entry.tokens = used
        if (account.waiting.length > 0) this.#serve(account)
      },
    }
  }

  #account(provider: string, name: string): Account {
    const key = keyOf(provider, name)
    let account = this.#accounts.get(key)
    if (account === undefined) {
      account = { entries: [], tokens: 0, waiting: [], heldUntilMs: Number.NEGATIVE_INFINITY, cancelTimer: undefined }
      this.#accounts.set(key, account)
    }
    return account
  }
}

/** For simulations and tests: the machine's time and a minute unless set. */
export interface LocalLimiterOptions {
  readonly clock?: BrokerClock
  readonly windowMs?: number
  readonly marginMs?: number
}

/** How long until only so many of the newest entries are left. */
function entryWait(account: Account, left: number, nowMs: number): number {
  const last = account.entries[account.entries.length - left - 1]
  return last === undefined ? 0 : last.goneAtMs - nowMs
}

const keyOf = (provider: string, account: string): string => `${provider}\n${account}`
