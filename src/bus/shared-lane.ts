import { setTimeout as delay } from "node:timers/promises"
import type { Consumer, ConsumerMessages } from "@nats-io/jetstream"
import { ensureError, MurmurError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import { durableInfo } from "./consumers.js"
import type { Link } from "./link.js"
import type { Room } from "./room.js"
import { type PartitionHandler, PulledMessage } from "./tenure.js"

export interface SharedLaneOptions {
  readonly stream: string
  readonly durable: string
  /** How many messages are asked for at a time. */
  readonly batchMax: number
  /** Only what can begin is asked for: the rest is for other nodes. */
  readonly room: Room
  /** How long the server waits for a sign of life before it gives a message to another node, in milliseconds. */
  readonly ackWaitMs: number
  readonly log: Log
}

const PULL_EXPIRES_MS = 1_000
/** A pull that the server has not ended by then was lost with a connection. */
const PULL_GRACE_MS = 2_000
const TICK_MS = 250
const RETRY_MS_MAX = 5_000

/**
 * One durable consumer that several nodes pull at the same time: each message goes to one of them, in no order. A node
 * asks for as much as it has room for, so nothing waits behind slow work while another node is free. What a dead node
 * held comes back after the ack wait.
 *
 * The handler is told of deliveries, and by `onLost` that what has not begun is no longer this node's: when it stops, and
 * when its connection was away for so long that others may have it.
 */
export class SharedLane {
  #consumer: Consumer | undefined
  #running: Promise<unknown> | undefined
  #stopping = new AbortController()
  readonly #pulls = new Set<Promise<void>>()
  /** How many messages are asked for and have not come. */
  #asked = 0
  #fault: Error | undefined
  #awayMs = 0

  constructor(
    private readonly link: Link,
    private readonly options: SharedLaneOptions,
    private readonly handler: PartitionHandler,
  ) {
    options.room.onMore(() => this.#pump())
  }

  /** Whether this node pulls. */
  get owned(): boolean {
    return this.#consumer !== undefined && this.link.state.connected
  }

  /** Starts pulling. Without effect when it is pulling; while it stops, it starts again afterwards. */
  start(): void {
    if (this.#running !== undefined && !this.#stopping.signal.aborted) return
    const before = this.#running
    this.#stopping = new AbortController()
    const { signal } = this.#stopping
    this.#running = Promise.resolve(before).then(() => this.#run(signal))
  }

  /** Stops pulling; what was delivered and has begun stays with the caller, to be finished and acked. */
  async stop(): Promise<void> {
    const running = this.#running
    if (running === undefined) return
    this.#stopping.abort()
    this.handler.onLost()
    await running
    if (this.#running === running) this.#running = undefined
  }

  /** There is nothing to release: it is nobody's own. */
  async release(): Promise<void> {}

  async #run(stopping: AbortSignal): Promise<void> {
    for (let failures = 0; !stopping.aborted && !this.link.connection.isClosed(); failures++) {
      try {
        this.#consumer = await this.#find()
        this.#fault = undefined
        if (await this.#pullUntil(stopping)) failures = 0
      } catch (error) {
        this.#fault = ensureError(error)
      }
      this.#consumer = undefined
      await Promise.all(this.#pulls) // what still comes is handed back
      if (stopping.aborted) return
      const { durable, log } = this.options
      log.warn({ durable, error: this.#fault }, "cannot consume; trying again")
      const waitMs = Math.min(RETRY_MS_MAX, 100 * 2 ** Math.min(failures, 10))
      await delay(waitMs, undefined, { signal: stopping }).catch(() => {})
    }
  }

  async #find(): Promise<Consumer> {
    const { stream, durable } = this.options
    const info = await this.link.state.ask(() => durableInfo(this.link, stream, durable))
    if (info !== undefined) return this.link.client.consumers.getConsumerFromInfo(info)
    throw new MurmurError(`Cannot consume "${durable}": the consumer is not on the server (not deployed)`, {
      code: "CONSUMER_MISSING",
    })
  }

  /** Pulls until it is stopped or something is wrong. @returns whether it went well for a while */
  async #pullUntil(stopping: AbortSignal): Promise<boolean> {
    let ticks = 0
    for (; !stopping.aborted && this.#fault === undefined && !this.link.connection.isClosed(); ticks++) {
      this.#watchConnection()
      this.#pump()
      await delay(TICK_MS, undefined, { signal: stopping }).catch(() => {})
    }
    return ticks * TICK_MS > RETRY_MS_MAX
  }

  /** While it is away nobody hears that its work goes on. */
  #watchConnection(): void {
    const before = this.#awayMs
    this.#awayMs = this.link.state.connected ? 0 : before + TICK_MS
    const limit = this.options.ackWaitMs / 2
    if (before < limit && this.#awayMs >= limit) this.handler.onLost()
  }

  /** Asks for more when there is room for it, and not for each place that is free: a request has its price. */
  #pump(): void {
    const consumer = this.#consumer
    if (consumer === undefined || this.#stopping.signal.aborted || !this.link.state.connected) return
    const want = Math.min(this.options.room.free() - this.#asked, this.options.batchMax)
    if (want <= 0 || want < this.#asked) return
    this.#asked += want
    const pull = this.#pull(consumer, want)
      .catch((error) => {
        this.#fault ??= ensureError(error)
      })
      .finally(() => this.#pulls.delete(pull))
    this.#pulls.add(pull)
  }

  async #pull(consumer: Consumer, count: number): Promise<void> {
    let left = count
    let messages: ConsumerMessages | undefined
    const guard = setTimeout(() => messages?.stop(), PULL_EXPIRES_MS + PULL_GRACE_MS).unref()
    try {
      messages = await consumer.fetch({ max_messages: count, expires: PULL_EXPIRES_MS })
      for await (const raw of messages) {
        if (left > 0) {
          left -= 1
          this.#asked -= 1
        }
        const message = new PulledMessage(raw, this.link.connection)
        if (this.#stopping.signal.aborted) message.receipt().giveBack?.()
        else this.handler.onDelivery(message)
      }
    } catch (error) {
      if (this.link.state.connected) throw error
    } finally {
      clearTimeout(guard)
      this.#asked -= left
    }
    this.#pump()
  }
}
