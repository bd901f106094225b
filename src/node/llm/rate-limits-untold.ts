import type { Clock } from "../../agents/clock.js"
import type { Grant, Grants } from "./rate-limits-ahead.js"
import type { Change, Refund } from "./rate-limits-record.js"

/** The part of a change that is news: what was granted before has come to more, or less; the provider said when to come back. */
export type News = Pick<Change, "refunds" | "holdMs" | "answered"> & { readonly extraTokens: number }

const REFUNDS_MAX = 1_000
/** Corrections wait so long for others, to be written together. */
const CORRECT_AFTER_MS = 100

/** What this node knows of an account and the record does not say yet. Times are steady milliseconds. */
export class Untold {
  #refunds: { readonly refund: Refund; readonly since: number }[] = []
  #extraTokens = 0
  #correctAt = Infinity
  #heldUntil = Number.NEGATIVE_INFINITY
  #hold = false
  #answered = false

  constructor(
    private readonly clock: Pick<Clock, "steady">,
    private readonly windowMs: number,
  ) {}

  /** When it must be told; `Infinity` when there is nothing. */
  get dueAt(): number {
    return this.#hold || this.#answered ? Number.NEGATIVE_INFINITY : this.#correctAt
  }

  /** Used beyond what was granted, and counted nowhere yet. */
  get extraTokens(): number {
    return this.#extraTokens
  }

  /** How much longer nobody asks, as this node was told. */
  get heldMs(): number {
    return Math.max(0, this.#heldUntil - this.clock.steady())
  }

  /** Nobody asks for so long. @returns whether that is longer than was known */
  hold(ms: number): boolean {
    const until = this.clock.steady() + ms
    if (until <= this.#heldUntil) return false
    this.#heldUntil = until
    this.#hold = true
    this.#answered = false
    return true
  }

  /** The provider answers again. */
  answers(): void {
    this.#answered = true
  }

  /** A granted request has come to so many tokens. */
  used(grant: Grant, tokens: number): void {
    if (tokens === grant.tokens) return
    if (tokens > grant.tokens) this.#extraTokens += tokens - grant.tokens
    else this.#refund(grant, { requests: 0, tokens: grant.tokens - tokens })
    this.#correctSoon()
  }

  /** Grants that nobody will use. */
  unused({ grant, count }: Grants): void {
    if (count === 0) return
    this.#refund(grant, { requests: count, tokens: count * grant.tokens })
    this.#correctSoon()
  }

  #correctSoon(): void {
    this.#correctAt = Math.min(this.#correctAt, this.clock.steady() + CORRECT_AFTER_MS)
  }

  /** What is not given back goes on counting, which is safe. */
  #refund({ revision, since }: Grant, { requests, tokens }: Omit<Refund, "revision">): void {
    if (this.#refunds.length < REFUNDS_MAX) {
      this.#refunds.push({ refund: { revision, requests, tokens: Math.floor(tokens) }, since })
    }
  }

  /** All of it. @returns the news, and what to call when they are written */
  tell(): { readonly news: News; readonly told: () => void } {
    const [refunds, extraTokens, hold, heldUntil] = [this.#refunds, this.#extraTokens, this.#hold, this.#heldUntil]
    const answered = this.#answered
    // a window later the grant counts no longer, and what looks like its slice may be another's
    const counting = refunds.filter(({ since }) => this.clock.steady() - since < this.windowMs)
    const news = {
      refunds: counting.map(({ refund }) => refund),
      extraTokens,
      holdMs: hold ? this.heldMs : undefined,
      answered,
    }
    const count = refunds.length
    const told = (): void => {
      this.#refunds = this.#refunds.slice(count)
      this.#extraTokens -= extraTokens
      if (heldUntil === this.#heldUntil) this.#hold = false
      if (answered) this.#answered = false
      if (this.#refunds.length === 0 && this.#extraTokens === 0) this.#correctAt = Infinity
    }
    return { news, told }
  }

  /** A write may have been made or not: what was given back twice would be room that is not there. */
  forgetRefunds(): void {
    this.#refunds = []
    if (this.#extraTokens === 0) this.#correctAt = Infinity
  }

  /** Nobody is to be told anything any more. */
  clear(): void {
    this.forgetRefunds()
    this.#extraTokens = 0
    this.#correctAt = Infinity
    this.#hold = false
    this.#answered = false
  }
}
