import type { EventDraft, MurmurEvent } from "../../bus/event.js"
import { derivedId } from "../../bus/ids.js"
import { ensureError } from "../../errors.js"
import { drawPath, type Trip } from "./guard-tripped.js"
import type { GuardPorts } from "./ports.js"
import { Recent } from "./recent.js"

/** Published once for each root (or day, or month), guard and limit when a guard stops a step. */
export const TRIPPED = "murmur.guard.tripped"
/** Published once for each root and agent when an agent is triggered by its own descendants again and again. */
export const WARNED = "murmur.guard.warned"

/** What the ids of the guards' own events begin with, and so the root of all that descends from them. */
const OWN = "murmur.guard."
const SAID_MAX = 10_000

/**
 * Tells the mesh what its guards see. Each thing is told once: this node remembers what it has told, the mesh what any
 * node has, and the id is derived, so that the server drops what two nodes tell at the same moment.
 *
 * The events are roots of their own, so that agents that react to them run unhindered. Whatever descends from them is
 * guarded as everything else, but of its guards nothing is published: telling about trouble never makes more of it.
 */
export class Announcer {
  readonly #said = new Recent<true>(SAID_MAX)

  constructor(private readonly ports: Pick<GuardPorts, "records" | "publish" | "telemetry">) {}

  /** A step was stopped. Resolves when that is told, or cannot be. */
  async tripped(trip: Trip, event: MurmurEvent): Promise<void> {
    const { log, metrics } = this.ports.telemetry
    const { guard, agent } = trip
    metrics.count("murmur.guard.trips", 1, { agent, guard })
    const id = OWN + derivedId("tripped", ...aboutOf(trip))
    if (!this.#isNew(id)) return
    log.error({ ...facts(trip), event: event.id }, "a guard stops a step: its event goes to the dead letters")
    await this.#publish(TRIPPED, id, trip, event)
  }

  /** A step runs that may be part of a loop. */
  warned(trip: Trip, event: MurmurEvent): void {
    const { log, metrics } = this.ports.telemetry
    const { guard, root, agent } = trip
    const id = OWN + derivedId("warned", root, agent)
    if (!this.#isNew(id)) return
    metrics.count("murmur.guard.warnings", 1, { agent, guard })
    log.warn({ ...facts(trip), event: event.id }, "an agent is triggered by its own descendants again and again")
    void this.#publish(WARNED, id, trip, event)
  }

  #isNew(id: string): boolean {
    if (this.#said.get(id) !== undefined) return false
    this.#said.set(id, true)
    return true
  }

  async #publish(type: string, id: string, trip: Trip, event: MurmurEvent): Promise<void> {
    if (trip.root.startsWith(OWN)) return
    const { records, publish, telemetry } = this.ports
    try {
      if (await records.wasAnnounced(id)) return
      const data = { ...trip, path: [...trip.path], event: { id: event.id, type: event.type, key: event.key ?? null } }
      const draft: EventDraft = { type, id, key: trip.agent, data }
      await publish(draft)
      await records.setAnnounced(id)
    } catch (thrown) {
      telemetry.log.warn({ type, error: ensureError(thrown) }, "cannot publish what a guard saw")
    }
  }
}

/** What is told once: a tree's limit; one of a day or month for all trees that hit it. */
function aboutOf({ guard, root, agent, limit, period }: Trip): (string | number)[] {
  if (period === undefined) return [root, guard, limit]
  return [guard, guard.startsWith("agent-") ? agent : "", period, limit]
}

function facts(trip: Trip): object {
  const { path: _, ...rest } = trip
  return { ...rest, path: drawPath(trip) }
}
