import { setTimeout as delay } from "node:timers/promises"
import type { Consumer, ConsumerInfo, ConsumerMessages, JsMsg } from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/transport-node"
import { ensureError, MurmurError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import { durableInfo, GROUP } from "./consumers.js"
import type { StoredMessage } from "./decode.js"
import type { Link } from "./link.js"
import { StreamMessage } from "./reader.js"
import { AckReceipt, type Receipt } from "./receipt.js"

/** A message handed out by a durable consumer. It stays with this node until it is acked, or the node loses the partition. */
export interface Delivery extends StoredMessage, Receipt {
  /** What to keep of it once it is read. */
  receipt(): Receipt
}

/** What a partition tells its node. Nothing of this may throw. */
export interface PartitionHandler {
  /**
   * The node owns the partition now. Delivery begins behind `floor` (the stream sequence below which all is acked),
   * in stream order, once the returned promise is fulfilled.
   */
  onOwned(floor: number): Promise<void> | void
  /** Another node took over: start nothing that has not begun. */
  onLost(): void
  onDelivery(delivery: Delivery): void
}

export interface PartitionOptions {
  readonly stream: string
  readonly durable: string
  /** How many messages are asked for at a time. */
  readonly batchMax: number
  readonly log: Log
}

/**
 * Who owns the partition. `passive`: pulling, but another node is pinned. `resetting`: the first message under a new
 * pin came; delivery is being taken back to the ack floor. `preparing`: the node rebuilds what it must. `owned`.
 */
type Ownership =
  | { readonly mode: "passive" }
  | { readonly mode: "resetting"; readonly pin: string; readonly buffer: PulledMessage[] }
  | { readonly mode: "preparing"; readonly pin: string; readonly buffer: PulledMessage[] }
  | { readonly mode: "owned"; readonly pin: string }

const PULL_EXPIRES_MS = 1_000
const KEEP_ALIVE_MS = 5_000
const ORPHAN_CHECK_MS = 1_000
const RETRY_MS_MAX = 5_000

/**
 * One durable consumer, pulled by this node: delivers its messages in stream order while the server has pinned the
 * consumer to this node.
 *
 * What a dead owner held would come back only after the ack wait, behind newer events. So on its first message under a
 * new pin the node resets the consumer: delivery restarts at the ack floor, in order, at once.
 */
export class Partition {
  #ownership: Ownership = { mode: "passive" }
  #messages: ConsumerMessages | undefined
  #running: Promise<void> | undefined
  #releasable = false
  #stopping = new AbortController()

  constructor(
    private readonly link: Link,
    private readonly options: PartitionOptions,
    private readonly handler: PartitionHandler,
  ) {}

  /** Whether this node is the one that gets the messages. */
  get owned(): boolean {
    return this.#ownership.mode === "owned"
  }

  /** Starts pulling. Goes on through lost connections, restarted servers and a consumer that was removed and made again. */
  start(): void {
    if (this.#running !== undefined) return
    this.#stopping = new AbortController()
    const { signal } = this.#stopping
    this.#running = Promise.all([this.#run(signal), this.#freeWhatIsOrphaned(signal)]).then(() => {})
  }

  /** Stops pulling; what was delivered stays with the caller, to be finished and acked. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#releasable = this.owned
    await this.#messages?.close()
    await this.#running
    this.#running = undefined
    this.#lose()
  }

  /** After `stop`, when nothing is unfinished any more: lets another node have the partition at once. */
  async release(): Promise<void> {
    if (!this.#releasable || this.link.connection.isClosed()) return
    this.#releasable = false
    // without the right to do so the pin runs out by itself
    await this.link.manager.consumers.unpin(this.options.stream, this.options.durable, GROUP).catch(() => {})
  }

  /** Gives the partition back and asks for it again: what was delivered and not acked comes once more, in order. */
  restart(): void {
    this.#lose()
    this.#messages?.stop()
  }

  async #run(stopping: AbortSignal): Promise<void> {
    for (let failures = 0; !stopping.aborted; failures++) {
      try {
        const consumer = await this.#consumer()
        if (stopping.aborted) return
        this.#messages = await this.#consume(consumer)
        failures = 0
        // an ended consumption while running is a fault, whatever the reason
        const error = await this.#messages.closed()
        if (stopping.aborted) return
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

  async #consumer(): Promise<Consumer> {
    const info = await durableInfo(this.link, this.options.stream, this.options.durable)
    if (info === undefined) {
      throw new MurmurError(
        `Cannot consume "${this.options.durable}": the consumer is not on the server (not deployed)`,
        {
          code: "CONSUMER_MISSING",
        },
      )
    }
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
   * message tells that the partition is free. So while this node is passive it looks, and frees what nobody owns.
   */
  async #freeWhatIsOrphaned(stopping: AbortSignal): Promise<void> {
    while (!stopping.aborted) {
      const waitMs = ORPHAN_CHECK_MS * (0.75 + Math.random() / 2)
      await delay(waitMs, undefined, { signal: stopping }).catch(() => {})
      if (stopping.aborted || this.#ownership.mode !== "passive" || this.link.connection.isClosed()) continue
      try {
        const info = await durableInfo(this.link, this.options.stream, this.options.durable)
        if (info !== undefined && info.num_ack_pending > 0 && !isPinned(info)) await this.#reset()
      } catch (error) {
        this.options.log.debug({ durable: this.options.durable, error }, "cannot look whether a partition is orphaned")
      }
    }
  }

  async #watchPin(messages: ConsumerMessages): Promise<void> {
    for await (const status of messages.status()) {
      if (status.type === "consumer_unpinned") this.#lose()
    }
  }

  #onMessage(raw: JsMsg): void {
    const message = new PulledMessage(raw, this.link.connection)
    const pin = raw.headers?.get("Nats-Pin-Id") ?? ""
    const ownership = this.#ownership
    if (ownership.mode === "passive" || ownership.pin !== pin) {
      this.#lose()
      const buffer = [message]
      this.#ownership = { mode: "resetting", pin, buffer }
      void this.#takeOver(pin, buffer)
    } else if (ownership.mode === "owned") {
      this.handler.onDelivery(message)
    } else {
      // a consumer sequence of 1 is the first delivery after the reset: what came before will come again
      if (ownership.mode === "resetting" && raw.info.deliverySequence === 1) ownership.buffer.length = 0
      ownership.buffer.push(message)
    }
  }

  async #takeOver(pin: string, buffer: PulledMessage[]): Promise<void> {
    try {
      const floor = await this.#reset()
      if (!this.#holds(pin, "resetting")) return
      if (buffer[0]?.message.info.deliverySequence !== 1) buffer.length = 0
      this.#ownership = { mode: "preparing", pin, buffer }
      const keepAlive = setInterval(() => {
        for (const message of buffer) message.working()
      }, KEEP_ALIVE_MS)
      try {
        await this.handler.onOwned(floor)
      } finally {
        clearInterval(keepAlive)
      }
      if (!this.#holds(pin, "preparing")) return
      this.#ownership = { mode: "owned", pin }
      for (const message of buffer) this.handler.onDelivery(message)
    } catch (thrown) {
      const error = ensureError(thrown)
      this.options.log.error({ durable: this.options.durable, error }, "cannot take over a partition; trying again")
      if (this.#ownership.mode !== "passive" && this.#ownership.pin === pin) this.#messages?.stop(error)
    }
  }

  #holds(pin: string, mode: Ownership["mode"]): boolean {
    return this.#ownership.mode === mode && "pin" in this.#ownership && this.#ownership.pin === pin
  }

  /** Takes delivery back to the ack floor. @returns the floor's stream sequence */
  async #reset(): Promise<number> {
    const { stream, durable } = this.options
    const prefix = this.link.manager.getOptions().apiPrefix ?? "$JS.API"
    const reply = await this.link.connection.request(`${prefix}.CONSUMER.RESET.${stream}.${durable}`, "", {
      timeout: 5_000,
    })
    const body = reply.json<{ error?: { description: string }; ack_floor?: { stream_seq: number } }>()
    if (body.error !== undefined || body.ack_floor === undefined) {
      throw new MurmurError(`Cannot reset consumer "${durable}": ${body.error?.description ?? "unexpected reply"}`, {
        code: "CONSUMER_RESET",
      })
    }
    return body.ack_floor.stream_seq
  }

  #lose(): void {
    if (this.#ownership.mode === "passive") return
    this.#ownership = { mode: "passive" }
    this.handler.onLost()
  }
}

/** Whether some node is pinned. The client's types do not know this part of the server's answer. */
function isPinned(info: ConsumerInfo): boolean {
  const groups = (info as { priority_groups?: { pinned_client_id?: string }[] }).priority_groups ?? []
  return groups.some(({ pinned_client_id: pin }) => pin !== undefined && pin !== "")
}

class PulledMessage extends StreamMessage implements Delivery {
  constructor(
    message: JsMsg,
    private readonly connection: NatsConnection,
  ) {
    super(message)
  }

  receipt(): Receipt {
    const { reply } = this.message as JsMsg & { readonly reply: string } // there, though its type does not tell
    return new AckReceipt(this.connection, reply)
  }
}
