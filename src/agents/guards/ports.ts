import type { CounterPort } from "../../bus/counters.js"
import type { EventDraft } from "../../bus/event.js"
import type { Telemetry } from "../../telemetry/ports.js"
import type { Clock } from "../clock.js"

/** What an operator has granted one tree beyond the ordinary. */
export interface Grant {
  /** How many hops more than each agent's own limit. */
  readonly hops: number
  /** How many cycles more than each agent's own limit. */
  readonly cycles: number
  /** Totals up to which the tree may go, by kind of budget. */
  readonly budgets: Readonly<Record<string, number>>
}

/** What the mesh remembers of its guards. Asked only when a limit is hit. */
export interface GuardRecords {
  grantOf(root: string): Promise<Grant | undefined>
  /** Whether an announcement was made before. */
  wasAnnounced(id: string): Promise<boolean>
  setAnnounced(id: string): Promise<void>
}

/** What the guards of a node stand on. */
export interface GuardPorts {
  readonly counters: CounterPort
  readonly records: GuardRecords
  /** How much of a kind there is: for the tree of one root event, an agent's day, ... See `limits.ts`. */
  readonly limits: { of(limit: string): number }
  /** Publishes what the guards have to tell, as an event of the mesh itself. */
  readonly publish: (draft: EventDraft) => Promise<unknown>
  readonly telemetry: Telemetry
  /** Says which day it is. Default: the machine's. */
  readonly clock?: Clock
}
