import type { Receipt } from "../bus/receipt.js"
import type { Room } from "../bus/room.js"
import type { Delivery } from "../bus/tenure.js"
import { Ledger } from "./ledger.js"
import type { HandlerPorts, LanePort } from "./ports.js"

/** Whether somebody may have tried an event before: then its journal is read. `died`: it may be what its node died of. */
export type Past = "none" | "tried" | "died"

/** Which of the deliveries to a new owner were tried before. */
export interface Caution {
  /** So many of the first ones may be what the owner before has died of. */
  readonly died: number
  /** It has left in order; what it began and did not finish lies at or below this sequence. */
  readonly through: number
}

/** What a feed tells its host. Nothing of this may throw. */
export interface FeedHandler<Item> {
  /** It is this node's now. */
  onOwned(feed: Feed<Item>): Promise<Caution>
  onLost(feed: Feed<Item>): void
  /** It is not this node's. @param elsewhere whether it is another's, or nobody's */
  onPassive(feed: Feed<Item>, elsewhere: boolean): void
  onDelivery(delivery: Delivery, feed: Feed<Item>): void
}

/**
 * What a feed brings: events in stream order, of a partition that one node owns; events in no order, that any node
 * takes; or what is sent to the agent alone, beside its events.
 */
export type FeedKind = "ordered" | "shared" | "inbox"

/** One durable consumer of an agent, and what this node knows of its messages. */
export class Feed<Item> {
  readonly ledger = new Ledger<Item>()
  readonly port: LanePort
  #suspects = 0
  #triedThrough = 0

  constructor(
    ports: Pick<HandlerPorts, "openLane">,
    readonly durable: string,
    /** Which of the agent's partitions it is of. */
    readonly partition: number,
    readonly kind: FeedKind,
    batchMax: number,
    handler: FeedHandler<Item>,
    room?: Room,
  ) {
    const port = {
      onOwned: async (floor: number) => {
        const { died, through } = await handler.onOwned(this)
        this.#suspects = died
        this.#triedThrough = through
        this.ledger.begin(floor)
      },
      onLost: () => handler.onLost(this),
      onPassive: (elsewhere: boolean) => handler.onPassive(this, elsewhere),
      onDelivery: (delivery: Delivery) => handler.onDelivery(delivery, this),
    }
    const ordered = kind === "ordered"
    this.port = ports.openLane(durable, port, { batchMax, ordered, ...(room && kind === "shared" && { room }) })
  }

  /** Whether a message that comes now was finished here before: all it needs is its ack. */
  isDone(delivery: Delivery): boolean {
    return this.kind !== "shared" && this.ledger.isDone(delivery)
  }

  /** Gives back a message that was not begun, or not finished: it is delivered again, to this node or to another. */
  giveBack(seq: number, receipt: Receipt, delayMs = 0): void {
    if (this.kind === "shared") {
      this.ledger.done(seq)
      receipt.giveBack?.(delayMs)
    } else this.ledger.forget(seq)
  }

  /** What is known of the next delivery's past. */
  pastOf({ seq, deliveryCount = 1 }: Delivery): Past {
    if (this.kind === "shared") return deliveryCount > 1 ? "died" : "none" // nobody resets the count
    if (this.#suspects === 0) return seq <= this.#triedThrough ? "tried" : "none"
    this.#suspects -= 1
    return "died"
  }
}
