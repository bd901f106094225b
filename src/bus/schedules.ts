import { setTimeout as delay } from "node:timers/promises"
import type { JsMsg } from "@nats-io/jetstream"
import { headers } from "@nats-io/transport-node"
import { MurmurError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import { ensureDurable } from "./consumers.js"
import type { Link } from "./link.js"
import { StreamMessage } from "./stream-message.js"
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

const ACK_WAIT_MS = 30_000
const COALESCE_AFTER_MS = 5_000
const RETRY_MS = 1_000
/** What is handed out beside the one that runs would wait behind it and not be kept alive. */
const BATCH_MAX = 1
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
    const stored = await this.link.manager.streams.getMessage(this.names.timers, { last_by_subj: subject })
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

  /** Removes a schedule; what it has fired already stays. */
  async remove(owner: string, name: string): Promise<void> {
    await this.link.manager.streams.purge(this.names.timers, { filter: this.#subject("timer", owner, name) })
  }

  /**
   * Hands each firing of an owner's schedules to `onDue`, on one node of the mesh, until aborted. A firing is done when
   * `onDue` resolves; a throw or a crash brings it back. While `onDue` runs the firing stays with this node.
   *
   * @throws MurmurError `CONSUMER_SETUP`, `NAME_INVALID`
   */
  async consume(owner: string, onDue: (due: Due) => Promise<void>, signal: AbortSignal): Promise<void> {
    const durable = `due_${checkName(owner, "schedule owner")}`
    await this.#ensure(owner, durable)
    while (!signal.aborted && !this.link.connection.isClosed()) {
      try {
        await this.#consumeOnce(owner, durable, onDue, signal)
      } catch (error) {
        this.log.warn({ owner, error }, "cannot consume what is due; trying again")
        await delay(RETRY_MS, undefined, { signal }).catch(() => {})
        await this.#ensure(owner, durable).catch(() => {}) // it may have been removed
      }
    }
  }

  async #ensure(owner: string, durable: string): Promise<void> {
    await ensureDurable(this.link, {
      stream: this.names.timers,
      name: durable,
      filters: [`${this.names.mesh}.due.${owner}.>`],
      from: "start",
      ackPendingMax: 100,
      ackWaitMs: ACK_WAIT_MS,
      pinned: false,
    })
  }

  async #consumeOnce(
    owner: string,
    durable: string,
    onDue: (due: Due) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const consumer = await this.link.state.ask(() => this.link.client.consumers.get(this.names.timers, durable))
    const messages = await consumer.consume({ max_messages: BATCH_MAX, abort_on_missing_resource: true })
    const stop = (): void => messages.stop()
    signal.addEventListener("abort", stop, { once: true })
    if (signal.aborted) stop()
    try {
      for await (const raw of messages) {
        if (signal.aborted) return // it was handed out and is not begun: it comes again, to another node
        await this.#handle(owner, raw, onDue)
      }
    } finally {
      signal.removeEventListener("abort", stop)
    }
  }

  async #handle(owner: string, raw: JsMsg, onDue: (due: Due) => Promise<void>): Promise<void> {
    const message = new StreamMessage(raw)
    const keepAlive = setInterval(() => message.working(), ACK_WAIT_MS / 3)
    try {
      if (await this.#current(message)) await onDue(this.#due(owner, message))
      message.ack()
    } catch (error) {
      this.log.warn({ owner, subject: message.subject, error }, "a due schedule was not handled; it comes back")
      if (!this.link.connection.isClosed()) raw.nak(RETRY_MS)
    } finally {
      clearInterval(keepAlive)
    }
  }

  /** Whether this is the last firing of its schedule: after a long absence a job runs once, not once per missed time. */
  async #current(message: StreamMessage): Promise<boolean> {
    if (Date.now() - message.time.getTime() < COALESCE_AFTER_MS) return true
    const last = await this.link.manager.streams.getMessage(this.names.timers, { last_by_subj: message.subject })
    return last === null || last.seq === message.seq
  }

  #due(owner: string, message: StreamMessage): Due {
    const name = decodeKey(message.subject.split(".")[3] ?? "") ?? ""
    return { owner, name, at: message.time, id: `${this.names.timers}:${message.seq}` }
  }

  #subject(kind: "timer" | "due", owner: string, name: string): string {
    return `${this.names.mesh}.${kind}.${checkName(owner, "schedule owner")}.${encodeKey(name)}`
  }
}
