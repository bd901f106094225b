import type { JsMsg } from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/transport-node"
import type { StoredMessage } from "./decode.js"
import { DeliveryOrder } from "./delivery-order.js"
import { AckReceipt, type Receipt } from "./receipt.js"
import { StreamMessage } from "./stream-message.js"

/** A message handed out by a durable consumer. It stays with this node until it is acked, or the node loses the partition. */
export interface Delivery extends StoredMessage, Receipt {
  /** What to keep of it once it is read. */
  receipt(): Receipt
  /** How often it was handed out, this time included; begins at 1 again when a consumer is reset. */
  readonly deliveryCount?: number
}

/** What a partition tells its node. Nothing of this may throw. */
export interface PartitionHandler {
  /**
   * The node owns the partition now. Delivery begins behind `floor` (the stream sequence below which all is acked), in
   * stream order and without a gap, once the returned promise is fulfilled. When it rejects, the partition is given back
   * and asked for again.
   *
   * @param ended aborted when the ownership is over, also before the promise is fulfilled
   */
  onOwned(floor: number, ended: AbortSignal): Promise<void> | void
  /** The ownership is over (another node, a lost connection, a stop): start nothing that has not begun. */
  onLost(): void
  onDelivery(delivery: Delivery): void
  /**
   * Told about once a second while the node does not own the partition: the server gives it to nobody before there is
   * something to deliver.
   *
   * @param elsewhere whether another node owns it
   */
  onPassive?(elsewhere: boolean): void
}

const KEEP_ALIVE_MS = 5_000

/**
 * One stretch of ownership, from the first message under a pin on. `taking`: delivery is taken back to the ack floor and
 * the node prepares itself; what comes meanwhile is kept. `owned`: what comes is handed on. `over`: for good.
 */
export class Tenure {
  #mode: "taking" | "owned" | "over" = "taking"
  readonly #order = new DeliveryOrder()
  readonly #buffer: PulledMessage[] = []
  readonly #ended = new AbortController()

  constructor(
    readonly pin: string,
    private readonly handler: PartitionHandler,
  ) {}

  get owned(): boolean {
    return this.#mode === "owned"
  }

  /** @param reset takes delivery back to the ack floor, and says where that is */
  async take(reset: () => Promise<number>): Promise<void> {
    const floor = await reset()
    this.#order.reset(Date.now())
    if (this.#mode === "over") return
    const keepAlive = setInterval(() => {
      for (const message of this.#buffer) message.working()
    }, KEEP_ALIVE_MS)
    try {
      await this.handler.onOwned(floor, this.#ended.signal)
    } finally {
      clearInterval(keepAlive)
    }
    if (this.#ended.signal.aborted) return
    this.#mode = "owned"
    for (const message of this.#buffer.splice(0)) this.handler.onDelivery(message)
  }

  /** Takes a message in. @returns false when one before it is missing: the tenure cannot go on */
  receive(message: PulledMessage): boolean {
    const place = this.#order.place(message.message.info.deliverySequence, Date.now())
    if (place === "gap") return false
    if (place === "before") return true
    if (this.#mode === "owned") {
      this.handler.onDelivery(message)
    } else {
      if (place === "first") this.#buffer.length = 0
      this.#buffer.push(message)
    }
    return true
  }

  end(): void {
    if (this.#mode === "over") return
    this.#mode = "over"
    this.#buffer.length = 0
    this.#ended.abort()
    this.handler.onLost()
  }
}

/** A message as the client hands it out, with what is needed to settle it. */
export class PulledMessage extends StreamMessage implements Delivery {
  constructor(
    message: JsMsg,
    private readonly connection: NatsConnection,
  ) {
    super(message)
  }

  get deliveryCount(): number {
    return this.message.info.deliveryCount
  }

  receipt(): Receipt {
    const { reply } = this.message as JsMsg & { readonly reply: string } // there, though its type does not tell
    return new AckReceipt(this.connection, reply)
  }
}
