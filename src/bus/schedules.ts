import { headers } from "@nats-io/transport-node"
import { MurmurError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import type { DurableOptions } from "./consumers.js"
import { consumeDue, dueDurable } from "./due-consumer.js"
import type { Link } from "./link.js"
import type { StreamMessage } from "./stream-message.js"
import { checkName, decodeKey, encodeKey, type MeshNames } from "./subjects.js"

/** A schedule that the server keeps. */
export interface Schedule {
  readonly owner: string
  readonly name: string
  /** Six fields with seconds first, or `@every 5m`, `@hourly`, `@daily`. */
  readonly expression: string
  /** IANA name; default UTC. */
  readonly timeZone?: string | undefined
}

/** One firing of a schedule. */
export interface Due {
  readonly owner: string
  readonly name: string
  readonly at: Date
  /** The same for each delivery of this firing. */
  readonly id: string
}

const COALESCE_AFTER_MS = 5_000
/** What fired while no node was up is kept this long. */
const DUE_TTL = "168h"

/** Cron by the server: a message with a schedule makes the server publish a due message at each time. Nothing of ours ticks. */
export class Schedules {
  constructor(
    private readonly link: Link,
    private readonly names: MeshNames,
    private readonly log: Log,
  ) {}

  /**
   * Sets a schedule, or changes it. Setting the same again leaves its rhythm alone.
   *
   * @throws MurmurError `SCHEDULE` when the server refuses the expression or the time zone
   */
  async set(schedule: Schedule): Promise<void> {
    const subject = this.#subject("timer", schedule.owner, schedule.name)
    const stored = await this.link.manager.direct.getMessage(this.names.timers, { last_by_subj: subject })
    const wanted = JSON.stringify([schedule.expression, schedule.timeZone ?? null])
    if (stored?.string() === wanted) return
    const sent = headers()
    sent.set("Nats-Schedule", schedule.expression)
    sent.set("Nats-Schedule-Target", this.#subject("due", schedule.owner, schedule.name))
    sent.set("Nats-Schedule-TTL", DUE_TTL)
    if (schedule.timeZone !== undefined) sent.set("Nats-Schedule-Time-Zone", schedule.timeZone)
    try {
      await this.link.client.publish(subject, wanted, { headers: sent })
    } catch (cause) {
      throw new MurmurError(
        `Cannot set schedule "${schedule.name}" of "${schedule.owner}" to "${schedule.expression}"${schedule.timeZone ? ` in ${schedule.timeZone}` : ""}: ${(cause as Error).message}`,
        { code: "SCHEDULE", cause },
      )
    }
  }

  /** Removes a schedule, with the right to purge timers; what it has fired already stays. */
  async remove(owner: string, name: string): Promise<void> {
    if (!this.link.rights.mayPurge(this.names.timers)) return
    await this.link.manager.streams.purge(this.names.timers, { filter: this.#subject("timer", owner, name) })
  }

  /**
   * Hands each firing of an owner's schedules to `onDue`, on one node of the mesh, until aborted. A firing is done when
   * `onDue` resolves; a throw or a crash brings it back. While `onDue` runs the firing stays with this node.
   *
   * @throws MurmurError `CONSUMER_SETUP`, `NAME_INVALID`
   */
  async consume(owner: string, onDue: (due: Due) => Promise<void>, signal: AbortSignal): Promise<void> {
    const options = { ...dueOf(this.names, owner), concurrency: 1, log: this.log }
    await consumeDue(
      this.link,
      options,
      async (message) => {
        if (await this.#current(message)) await onDue(this.#due(owner, message))
      },
      signal,
    )
  }

  /** Whether this is the last firing of its schedule: after a long absence a job runs once, not once per missed time. */
  async #current(message: StreamMessage): Promise<boolean> {
    if (Date.now() - message.time.getTime() < COALESCE_AFTER_MS) return true
    const last = await this.link.manager.direct.getMessage(this.names.timers, { last_by_subj: message.subject })
    return last === null || last.seq <= message.seq // of a server that is behind it is an earlier one
  }

  #due(owner: string, message: StreamMessage): Due {
    const name = decodeKey(message.subject.split(".")[3] ?? "") ?? ""
    return { owner, name, at: message.time, id: `${this.names.timers}:${message.seq}` }
  }

  #subject(kind: "timer" | "due", owner: string, name: string): string {
    return `${this.names.mesh}.${kind}.${checkName(owner, "schedule owner")}.${encodeKey(name)}`
  }
}

/** The durable of a source's schedules that have fired. */
export function scheduleDurable(names: MeshNames, owner: string): DurableOptions {
  return dueDurable(dueOf(names, owner))
}

function dueOf(names: MeshNames, owner: string): { stream: string; durable: string; filter: string } {
  const durable = `due_${checkName(owner, "schedule owner")}`
  return { stream: names.timers, durable, filter: `${names.mesh}.due.${owner}.>` }
}
