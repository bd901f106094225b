import type { Draw, RateLimits } from "../../gateways/broker/ports.js"
import { countsUntil, isOver, type LimitRecord, PROBE_MS } from "./rate-limits-record.js"

/** What may be done now: send so many requests like the one asked about, or wait until then (server time). */
export type Plan =
  | { readonly next: "send"; readonly room: number; readonly probe: boolean }
  | { readonly next: "wait"; readonly untilMs: number }

/** Requests and tokens. */
export interface Amount {
  readonly requests: number
  readonly tokens: number
}

/** What a plan is made from. */
export interface Situation {
  readonly record: LimitRecord
  /** What is about to be written besides. */
  readonly taken: Amount
  /** Not later than it is at the server. */
  readonly nowMs: number
  readonly windowMs: number
}

/**
 * Whether a request fits into the limits, and when it will.
 *
 * A request with more tokens than the limit fits when nothing else counts: it could never be sent otherwise.
 */
export function planFor({ tokens }: Pick<Draw, "tokens">, limits: RateLimits, situation: Situation): Plan {
  const held = heldPlan(situation)
  if (held?.next === "wait") return held
  const fits = fitOf(tokens, limits, situation.taken)
  const counting = situation.record.sent
    .map((sent) => ({ ...sent, untilMs: countsUntil(sent, situation.windowMs) }))
    .filter(({ untilMs }) => untilMs > situation.nowMs)
    .sort((one, other) => one.untilMs - other.untilMs)
  let used = counting.reduce(plus, { requests: 0, tokens: 0 })
  const room = fits(used)
  if (room >= 1) return held ?? { next: "send", room, probe: false }
  let untilMs = situation.nowMs
  for (const slice of counting) {
    untilMs = slice.untilMs
    used = { requests: used.requests - slice.requests, tokens: used.tokens - slice.tokens }
    if (fits(used) >= 1) break
  }
  return { next: "wait", untilMs }
}

function plus(sum: Amount, more: Amount): Amount {
  return { requests: sum.requests + more.requests, tokens: sum.tokens + more.tokens }
}

/** How many requests of so many tokens fit beside what is used. */
function fitOf(tokens: number, limits: RateLimits, taken: Amount): (used: Amount) => number {
  const { requestsPerMinute = Infinity, tokensPerMinute = Infinity } = limits
  const each = Math.min(tokens, tokensPerMinute)
  return (used) => {
    const requests = requestsPerMinute - used.requests - taken.requests
    const left = tokensPerMinute - used.tokens - taken.tokens
    if (left < each) return 0
    return Math.min(requests, each === 0 ? Infinity : Math.floor(left / each))
  }
}

/** What a hold means; `undefined` when there is none, or it says nothing any longer. */
function heldPlan({ record: { hold }, taken, nowMs, windowMs }: Situation): Plan | undefined {
  if (hold === undefined || isOver(hold, nowMs, windowMs)) return undefined
  if (hold.untilMs > nowMs) return { next: "wait", untilMs: hold.untilMs }
  if (hold.probedAt !== undefined) return { next: "wait", untilMs: hold.probedAt + PROBE_MS + 1 }
  if (taken.requests > 0) return { next: "wait", untilMs: nowMs + PROBE_MS }
  return { next: "send", room: 1, probe: true }
}
