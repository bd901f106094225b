import { setTimeout as delay } from "node:timers/promises"
import type { Consumer, ConsumerInfo, ConsumerMessages, JsMsg } from "@nats-io/jetstream"
import { ensureError, MurmurError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import { Claim } from "./claim.js"
import { durableInfo, GROUP, resetDurable } from "./consumers.js"
import type { Link } from "./link.js"
import { type PartitionHandler, PulledMessage, Tenure } from "./tenure.js"

export type { Delivery, PartitionHandler } from "./tenure.js"

export interface PartitionOptions {
  readonly stream: string
  readonly durable: string
  /** How many messages are asked for at a time. */
  readonly batchMax: number
  readonly log: Log
}

const PULL_EXPIRES_MS = 1_000
const ORPHAN_CHECK_MS = 1_000
const RETRY_MS_MAX = 5_000
/** A consumption that lasted so long was none that fails again and again. */
const STABLE_MS = 10_000

/**
 * One durable consumer, pulled by this node: delivers its messages in stream order while the server has pinned the
 * consumer to this node.
 *
 * What a dead owner held would come back only after the ack wait, behind newer events. So on its first message under a
 * new pin the node resets the consumer: delivery restarts at the ack floor, in order, at once. The same is done when a
 * delivery got lost on its way, and after a lost connection: a node without one owns nothing.
 */
export class Partition {
  #tenure: Tenure | undefined
  #lastPin: string | undefined
  #messages: ConsumerMessages | undefined
  readonly #claim = new Claim()
  #holding = false
  #running: Promise<unknown> | undefined
  #releasable = false
  #stopping = new AbortController()

  constructor(
    private readonly link: Link,
    private readonly options: PartitionOptions,
    private readonly handler: PartitionHandler,
  ) {}

  /** Whether this node is the one that gets the messages. */
  get owned(): boolean {
    return this.#tenure?.owned === true
  }

  /**
   * Starts pulling. Goes on through lost connections, restarted servers and a consumer that was removed and made again.
   * Without effect when it is pulling; while it stops, it starts again afterwards.
   */
  start(): void {
    if (this.#running !== undefined && !this.#stopping.signal.aborted) return
    const before = this.#running
    this.#releasable = false
    this.#setHolding(false)
    this.#stopping = new AbortController()
    const { signal } = this.#stopping
    this.#running = Promise.resolve(before).then(() =>
      Promise.all([this.#run(signal), this.#freeWhatIsOrphaned(signal), this.#watchConnection(signal)]),
    )
  }

  /** Says whether it is left to others: then it is pulled only while it is owned, or when nobody takes what waits. */
  leave(left: boolean): void {
    this.#claim.leave(left)
  }

  /**
   * Hands out nothing more and goes on owning the partition, if it does: so what has begun can be finished before another
   * node begins. What comes meanwhile is for the next owner. Until `resume` or `stop`.
   */
  hold(): void {
    this.#setHolding(true)
    if (!this.owned) this.#lose()
  }

  /** After `hold`: what was not handed out comes now, and what was and is not acked comes once more. */
  resume(): void {
    this.#setHolding(false)
    const pin = this.#tenure?.pin
    this.#lose()
    if (pin !== undefined) this.#begin(pin)
  }

  /** Stops pulling; what was delivered stays with the caller, to be finished and acked. */
  async stop(): Promise<void> {
    const running = this.#running
    if (this.owned) this.#releasable = true
    this.#stopping.abort()
    this.#claim.renew()
    this.#lose()
    await this.#messages?.close()
    await running
    if (this.#running === running) this.#running = undefined
  }

  /** After `stop`, when nothing is unfinished any more: lets another node have the partition at once. */
  async release(): Promise<void> {
    if (!this.#releasable || this.link.connection.isClosed()) return
    this.#releasable = false
    await this.#unpin()
  }

  /** Gives the partition back and asks for it again: what was delivered and not acked comes once more, in order. */
  restart(): void {
    this.#lose()
    this.#messages?.stop()
  }

  async #run(stopping: AbortSignal): Promise<void> {
    for (let failures = 0; !stopping.aborted && !this.link.connection.isClosed(); failures++) {
      try {
        while (!this.#wanted && !stopping.aborted) await this.#claim.changed()
        if (stopping.aborted) return
        const consumer = await this.#consumer()
        if (stopping.aborted) return
        const messages = await this.#consume(consumer)
        this.#messages = messages
        if (stopping.aborted) return await messages.close().then(() => {})
        const began = Date.now()
        // an ended consumption while running is a fault, whatever the reason
        const error = await messages.closed()
        if (stopping.aborted) return
        if (!this.#wanted) {
          failures = 0
          continue
        }
        if (Date.now() - began > STABLE_MS) failures = 0
        this.options.log.warn({ durable: this.options.durable, error }, "consumption ended; starting it again")
      } catch (error) {
        if (stopping.aborted) return
        this.options.log.warn({ durable: this.options.durable, error }, "cannot consume; trying again")
      }
      this.#lose()
      const waitMs = Math.min(RETRY_MS_MAX, 100 * 2 ** Math.min(failures, 10))
      await delay(waitMs, undefined, { signal: stopping }).catch(() => {})
    }
  }

  /** Whether it is to be pulled. */
  get #wanted(): boolean {
    return this.#tenure !== undefined || this.#claim.stands
  }

  async #consumer(): Promise<Consumer> {
    const info = await this.#info()
    if (info === undefined) {
      throw new MurmurError(
        `Cannot consume "${this.options.durable}": the consumer is not on the server (not deployed)`,
        {
          code: "CONSUMER_MISSING",
        },
      )
    }
    // its own pin from before a restart would keep it out until that runs out
    if (this.#lastPin !== undefined && pinOf(info) === this.#lastPin) await this.#unpin()
    return this.link.client.consumers.getConsumerFromInfo(info)
  }

  async #consume(consumer: Consumer): Promise<ConsumerMessages> {
    const messages = await consumer.consume({
      group: GROUP,
      max_messages: this.options.batchMax,
      expires: PULL_EXPIRES_MS,
      idle_heartbeat: PULL_EXPIRES_MS / 2,
      abort_on_missing_resource: true,
      callback: (message) => this.#onMessage(message),
    })
    void this.#watchPin(messages)
    return messages
  }

  /**
   * Nothing comes when a dead owner held all that may be unacked, or when nothing new is published: then no first
   * message tells that the partition is free. So while this node is passive it looks, and frees what nobody owns, or
   * what it owned itself before it lost its connection.
   */
  async #freeWhatIsOrphaned(stopping: AbortSignal): Promise<void> {
    while (!stopping.aborted && !this.link.connection.isClosed()) {
      const waitMs = ORPHAN_CHECK_MS * (0.75 + Math.random() / 2)
      await delay(waitMs, undefined, { signal: stopping }).catch(() => {})
      if (stopping.aborted || this.#tenure !== undefined) continue
      try {
        const info = await this.#info()
        if (info === undefined || stopping.aborted || this.#tenure !== undefined) continue
        const pin = pinOf(info)
        const elsewhere = pin !== undefined && pin !== this.#lastPin
        this.#claim.saw(!elsewhere && info.num_pending + info.num_ack_pending > 0)
        if (!this.#wanted) this.#endPulls()
        this.handler.onPassive?.(elsewhere)
        if (!elsewhere && info.num_ack_pending > 0) await this.#reset()
      } catch (error) {
        this.options.log.debug({ durable: this.options.durable, error }, "cannot look whether a partition is orphaned")
      }
    }
  }

  /** What was on its way when a connection broke is lost, and the server may give the partition to another node. */
  async #watchConnection(stopping: AbortSignal): Promise<void> {
    if (stopping.aborted) return
    const statuses = this.link.connection.status() as ReturnType<Link["connection"]["status"]> & { stop(): void }
    stopping.addEventListener("abort", () => statuses.stop(), { once: true })
    for await (const { type } of statuses) if (type === "disconnect") this.#lose()
  }

  async #watchPin(messages: ConsumerMessages): Promise<void> {
    for await (const status of messages.status()) {
      if (status.type === "consumer_unpinned") this.#lose()
    }
  }

  #onMessage(raw: JsMsg): void {
    if (this.#stopping.signal.aborted) return
    const pin = raw.headers?.get("Nats-Pin-Id") ?? ""
    const tenure = this.#tenure
    if (this.#holding) {
      if (tenure?.pin !== pin) this.#lose()
      return // unacked, it comes to the next owner
    }
    if (tenure?.pin === pin) {
      if (tenure.receive(new PulledMessage(raw, this.link.connection))) return
      this.options.log.warn({ durable: this.options.durable }, "a delivery got lost on its way; taking it back")
    }
    this.#lose()
    this.#begin(pin) // the message itself comes again, after the reset
  }

  #begin(pin: string): void {
    const tenure = new Tenure(pin, this.handler)
    this.#tenure = tenure
    this.#lastPin = pin
    tenure
      .take(() => this.#reset())
      .catch((thrown) => {
        if (this.#tenure !== tenure) return
        const error = ensureError(thrown)
        this.options.log.error({ durable: this.options.durable, error }, "cannot take over a partition; trying again")
        this.#messages?.stop(error)
      })
  }

  /** Without the right to do so the pin runs out by itself. */
  async #unpin(): Promise<void> {
    await this.link.manager.consumers.unpin(this.options.stream, this.options.durable, GROUP).catch(() => {})
  }

  #reset(): Promise<number> {
    const { stream, durable } = this.options
    return this.link.state.ask(() => resetDurable(this.link, stream, durable))
  }

  #info(): Promise<ConsumerInfo | undefined> {
    const { stream, durable } = this.options
    return this.link.state.ask(() => durableInfo(this.link, stream, durable))
  }

  #lose(): void {
    const tenure = this.#tenure
    this.#tenure = undefined
    if (this.#holding) this.#endPulls()
    tenure?.end()
  }

  #setHolding(holding: boolean): void {
    this.#holding = holding
    this.#claim.hold(holding)
  }

  #endPulls(): void {
    void this.#messages?.close()
    this.#messages = undefined
  }
}

/** Which client is pinned, if one is. The client's types do not know this part of the server's answer. */
function pinOf(info: ConsumerInfo): string | undefined {
  const groups = (info as { priority_groups?: { pinned_client_id?: string }[] }).priority_groups ?? []
  return groups.map(({ pinned_client_id: pin }) => pin).find((pin) => pin !== undefined && pin !== "")
}
