import { busLogs } from "../../src/agents/bus-ports.js"
import { systemClock } from "../../src/agents/clock.js"
import { openSessions, type SessionStore } from "../../src/agents/sessions/session-store.js"
import type { Bus } from "../../src/bus/bus.js"
import { TOTALS, type Totals } from "./job.js"

/** Opens the sessions of an agent of the job, as a node that has just started does: nothing is warm. */
export function openTotals(bus: Bus, agent: string, snapshotEvery: number): SessionStore {
  const evolve = TOTALS.evolve as Record<string, (state: never, data: never) => Totals>
  const ports = { names: bus.names, clock: systemClock, log: busLogs(bus, agent).sessions }
  const bounds = { snapshotEvery, keepCommits: Number.POSITIVE_INFINITY, warmBytesMax: 64 * 2 ** 20 }
  return openSessions(ports, agent, { ...TOTALS, ...bounds, evolve, version: 1 })
}
