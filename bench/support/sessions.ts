import { openSessions, type SessionStore } from "../../src/agents/sessions/session-store.js"
import type { Bus } from "../../src/bus/bus.js"
import { TOTALS, type Totals } from "./job.js"

/** Opens the sessions of an agent of the job, as a node that has just started does: nothing is warm. */
export function openTotals(bus: Bus, agent: string, snapshotEvery: number): SessionStore {
  const evolve = TOTALS.evolve as Record<string, (state: never, data: never) => Totals>
  return openSessions(bus, agent, { ...TOTALS, evolve, version: 1, snapshotEvery, warmBytesMax: 64 * 2 ** 20 })
}
