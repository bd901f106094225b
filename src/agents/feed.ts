import type { Delivery } from "../bus/tenure.js"
import { Ledger } from "./ledger.js"
import type { HandlerPorts, LanePort } from "./ports.js"

/** What a feed tells its host. Nothing of this may throw. */
export interface FeedHandler<Item> {
  /** It is this node's now. @returns how many of the first deliveries a dead owner may have died of */
  onOwned(feed: Feed<Item>): Promise<number>
  onLost(feed: Feed<Item>): void
  /** It is not this node's. @param elsewhere whether it is another's, or nobody's */
  onPassive(feed: Feed<Item>, elsewhere: boolean): void
  onDelivery(delivery: Delivery, feed: Feed<Item>): void
}

/** One durable consumer of an agent, and what this node knows of its messages. */
export class Feed<Item> {
  readonly ledger = new Ledger<Item>()
  readonly port: LanePort
  #suspects = 0

  constructor(
    ports: Pick<HandlerPorts, "openLane">,
    readonly durable: string,
    /** Which of the agent's partitions it is of. */
    readonly partition: number,
    /** Whether it brings events in stream order; what is sent to the agent alone comes beside it. */
    readonly ordered: boolean,
    batchMax: number,
    handler: FeedHandler<Item>,
  ) {
    const port = {
      onOwned: async (floor: number) => {
        this.#suspects = await handler.onOwned(this)
        this.ledger.begin(floor)
      },
      onLost: () => handler.onLost(this),
      onPassive: (elsewhere: boolean) => handler.onPassive(this, elsewhere),
      onDelivery: (delivery: Delivery) => handler.onDelivery(delivery, this),
    }
    this.port = ports.openLane(durable, port, { batchMax, ordered })
  }

  /** Whether the next delivery is one that the owner before may have died of. */
  takeSuspect(): boolean {
    if (this.#suspects === 0) return false
    this.#suspects -= 1
    return true
  }
}
