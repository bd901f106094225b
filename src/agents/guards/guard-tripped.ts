import { TerminalError } from "../../errors.js"
import { amountText, isMoney } from "./limits.js"

/**
 * What a guard watches: the depth of a causal tree, cycles in it, or a kind of budget (`events`, `tokens`, `day-microusd`,
 * ...; `limits.ts` has them all).
 */
export type GuardName = "hops" | "cycles" | (string & {})

/** A guard that stopped a step, and what it saw. */
export interface Trip {
  readonly guard: GuardName
  /** Id of the root event of the tree. */
  readonly root: string
  /** What was allowed. Money in millionths of a dollar, here and below. */
  readonly limit: number
  /** What was found, this step included. */
  readonly used: number
  /** Of a budget: what was refused now. It stays counted. */
  readonly refused?: number
  /** Of a budget that begins anew: the UTC day or month that it was for. */
  readonly period?: string
  /** The agent whose step was stopped. */
  readonly agent: string
  /** The agents that led to it, oldest first. */
  readonly path: readonly string[]
}

const DRAWN_MAX = 12

/**
 * A step that may not run, or whose outputs may not be published. Its event goes to the dead letters, from where it can
 * go on when somebody grants the tree more.
 */
export class GuardTripped extends TerminalError {
  constructor(
    eventId: string,
    readonly trip: Trip,
  ) {
    super(`${saying(eventId, trip)} (${drawPath(trip)}). ${whatToDo(trip)}`, {
      code: codeOf(trip.guard),
      details: { ...trip },
    })
  }

  /** Why the event is given up. */
  get reason(): "loop" | "budget" {
    return isLoopGuard(this.trip.guard) ? "loop" : "budget"
  }
}

/**
 * A budget is used up: of events, steps, tokens or money; of one tree, of an agent's day, of the mesh's day or month. The
 * event is parked as a dead letter, with what was used, and nothing of its step is in effect.
 */
export class BudgetExceeded extends GuardTripped {}

/** Whether a guard watches the shape of a tree, and not its size. */
export function isLoopGuard(guard: GuardName): boolean {
  return guard === "hops" || guard === "cycles"
}

/** The path as people read it: `ping -> pong -> ping`. Of a long one the end. */
export function drawPath({ path, agent }: Pick<Trip, "path" | "agent">): string {
  const names = [...path, agent]
  const drawn = names.slice(-DRAWN_MAX).join(" -> ")
  return names.length > DRAWN_MAX ? `... -> ${drawn}` : drawn
}

function codeOf(guard: GuardName): string {
  if (guard === "hops") return "HOPS_EXCEEDED"
  if (guard === "cycles") return "CYCLE"
  return isMoney(guard) ? "BUDGET_USD" : `BUDGET_${guard.slice(guard.lastIndexOf("-") + 1).toUpperCase()}`
}

function saying(eventId: string, trip: Trip): string {
  const { guard, agent, limit, used } = trip
  if (guard === "hops") return `Event ${eventId} is ${used} hops deep, "${agent}" takes at most ${limit}`
  if (guard === "cycles") {
    return `"${agent}" was triggered by its own descendants ${used} times on the way to event ${eventId}, at most ${limit} are taken`
  }
  const most = amountText(guard, limit)
  const would = isMoney(guard) ? amountText(guard, used) : used
  return `"${agent}" cannot go on with event ${eventId}: ${whoseBudget(trip)} may use ${most}, and this would be ${would}`
}

function whoseBudget({ guard, agent, root, period }: Trip): string {
  if (period === undefined) return `what descends from ${root}`
  return `${guard.startsWith("agent-") ? `"${agent}"` : "the mesh"} in ${period}`
}

function whatToDo({ guard, root, period }: Trip): string {
  if (period !== undefined) {
    const flag = guard.replace("microusd", "usd")
    return `When ${period} (UTC) is over, or more is allowed (murmur guard limits --${flag} n): murmur guard resume ${root}`
  }
  const why = isLoopGuard(guard) ? "Do these agents trigger one another?" : "Does something multiply here?"
  return `${why} If it is meant to be so: murmur guard resume ${root}`
}
