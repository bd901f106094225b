import type { SupervisionOptions } from "./define-agent.js"

/** One failed attempt, as supervision sees it. Times are milliseconds since the epoch, by whatever clock the caller has. */
export interface Failure {
  readonly atMs: number
  readonly eventId: string
  readonly code: string
  readonly message: string
}

/** What `open` and `half-open` have in common. */
interface Quarantined {
  /** When the agent was quarantined; trying again in vain does not change it. */
  readonly sinceMs: number
  /** How often in a row it was quarantined, this time included. */
  readonly times: number
  /** Failed attempts since its last success. */
  readonly failures: number
  readonly last: Failure
}

/**
 * How one agent fares on one node, in the words of circuit breakers.
 *
 * - `closed`: it runs. `failing` has, for each of the newest events that failed since its last success, the newest failure.
 * - `open`: it is quarantined: nothing begins before `untilMs`.
 * - `half-open`: still quarantined, but one event may try. Its success closes, its failure opens for longer.
 */
export type Supervision =
  | { readonly kind: "closed"; readonly failing: readonly Failure[]; readonly failures: number }
  | ({ readonly kind: "open"; readonly untilMs: number } & Quarantined)
  | ({ readonly kind: "half-open" } & Quarantined)

/** Nothing stands against it. */
export const HEALTHY: Supervision = { kind: "closed", failing: [], failures: 0 }

/** A step succeeded: whatever failed before, the agent as such works. */
export function afterSuccess(state: Supervision): Supervision {
  return state.kind === "closed" && state.failures === 0 ? state : HEALTHY
}

/**
 * An attempt failed.
 *
 * An agent that runs is quarantined when `intensity` different events have failed within `withinMs` and nothing has
 * succeeded in between. An event counts once, however often it was tried: one that always fails tells of itself, and
 * ends in the dead letters.
 */
export function afterFailure(state: Supervision, failure: Failure, options: Required<SupervisionOptions>): Supervision {
  switch (state.kind) {
    case "closed": {
      const failures = state.failures + 1
      const others = state.failing.filter(
        ({ eventId, atMs }) => eventId !== failure.eventId && failure.atMs - atMs <= options.withinMs,
      )
      const failing = [...others, failure]
      if (failing.length < options.intensity) return { kind: "closed", failing, failures }
      return open({ sinceMs: failure.atMs, times: 1, failures, last: failure }, options)
    }
    case "open": // it began before
      return { ...state, failures: state.failures + 1, last: failure }
    case "half-open": {
      const { sinceMs, times, failures } = state
      return open({ sinceMs, times: times + 1, failures: failures + 1, last: failure }, options)
    }
  }
}

/** Time has passed. */
export function afterTime(state: Supervision, nowMs: number): Supervision {
  if (state.kind !== "open" || nowMs < state.untilMs) return state
  const { sinceMs, times, failures, last } = state
  return { kind: "half-open", sinceMs, times, failures, last }
}

/** Each quarantine in a row is twice as long as the one before. */
function open(quarantined: Quarantined, options: Required<SupervisionOptions>): Supervision {
  const forMs = Math.min(options.quarantineMsMax, options.quarantineMs * 2 ** (quarantined.times - 1))
  return { kind: "open", untilMs: quarantined.last.atMs + forMs, ...quarantined }
}
