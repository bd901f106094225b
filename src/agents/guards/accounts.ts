import type { CounterName } from "../../bus/counters.js"
import { ofAgent } from "./limits.js"

/** What models are paid in. */
export type Unit = "tokens" | "microusd"
export const UNITS: readonly Unit[] = ["tokens", "microusd"]

/** Who spends: an agent, on behalf of a tree. */
export interface Payer {
  /** Id of the root event. */
  readonly root: string
  readonly agent: string
}

/** One of the counters that a call of a model is charged to. */
export interface Account {
  readonly counter: CounterName
  readonly unit: Unit
  /** The limit that holds for it; `undefined` when it is only counted. */
  readonly limit: string | undefined
  /** The UTC day or month that it is for. */
  readonly period?: string
}

/** All counters that a call is charged to, the narrowest first. @param at milliseconds since 1970 */
export function accountsOf({ root, agent }: Payer, at: number): Account[] {
  const { day, month } = periodsAt(at)
  return UNITS.flatMap((kind): Account[] => [
    { counter: { root, kind }, unit: kind, limit: kind },
    { counter: agentDay(agent, day, kind), unit: kind, limit: ofAgent(`agent-day-${kind}`, agent), period: day },
    { counter: { account: ["day", day], kind }, unit: kind, limit: `day-${kind}`, period: day },
    { counter: { account: ["month", month], kind }, unit: kind, limit: `month-${kind}`, period: month },
    { counter: agentTotal(agent, kind), unit: kind, limit: undefined },
  ])
}

/** What an agent has spent on a day. */
export function agentDay(agent: string, day: string, kind: Unit) {
  return { account: ["agent-day", agent, day], kind }
}

/** What an agent has spent since it is counted. */
export function agentTotal(agent: string, kind: Unit) {
  return { account: ["agent", agent], kind }
}

/** The UTC day and month of a moment: `2026-11-21`, `2026-11`. */
export function periodsAt(at: number): { readonly day: string; readonly month: string } {
  const day = new Date(at).toISOString().slice(0, 10)
  return { day, month: day.slice(0, 7) }
}

/** A counter's name as one text. */
export function counterText(counter: CounterName): string {
  const owner = "root" in counter ? ["root", counter.root] : counter.account
  return JSON.stringify([...owner, counter.kind])
}
