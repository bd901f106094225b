import type { Ahead } from "./rate-limits-ahead.js"
import type { Line, Waiter } from "./rate-limits-line.js"
import type { Amount, Plan } from "./rate-limits-plan.js"

/** Who gets what by one write. */
export interface Granting {
  readonly waiters: readonly Waiter[]
  /** How many more are reserved for those who come next, and for how many tokens each. */
  readonly ahead: number
  readonly tokensAhead: number
  /** It is to show whether the provider answers again. */
  readonly probe: boolean
}

/** How many permits one write may grant, besides those ahead. */
const GRANTS_MAX = 100

/**
 * As many of those who wait as there is room for, in their order, and some for those who come next.
 *
 * @param planOf what may be done for one, beside what is granted to others
 * @param now steady milliseconds
 */
export function chooseGrants(
  line: Line,
  ahead: Ahead,
  planOf: (waiter: Waiter, granted: Amount) => Plan,
  now: number,
): Granting {
  const waiters: Waiter[] = []
  let tokens = 0
  let room = 0
  let probe = false
  for (const waiter of line.head(GRANTS_MAX)) {
    const plan = planOf(waiter, { requests: waiters.length, tokens })
    room = plan.next === "send" ? plan.room - 1 : 0
    if (plan.next === "wait") break
    waiters.push(waiter)
    probe ||= plan.probe
    tokens += waiter.draw.tokens
  }
  const [first] = waiters
  if (first === undefined) return { waiters, ahead: 0, tokensAhead: 0, probe: false }
  const count = ahead.size(first, now, waiters.length, probe ? 0 : room)
  return { waiters, ahead: count, tokensAhead: first.draw.tokens, probe }
}

/** What it comes to. */
export function amountOf({ waiters, ahead, tokensAhead }: Granting): Amount {
  const tokens = waiters.reduce((sum, { draw }) => sum + draw.tokens, ahead * tokensAhead)
  return { requests: waiters.length + ahead, tokens }
}
