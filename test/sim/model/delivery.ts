import type { Delivery } from "../../../src/bus/partition.js"
import type { Receipt } from "../../../src/bus/receipt.js"
import type { Link } from "./link.js"
import type { SimRecord } from "./stream.js"

/** Where a message can be settled. */
export interface Settling {
  ack(seq: number): void
  working(seq: number): void
  giveBack?(seq: number, delayMs: number): void
}

/** A message in a node's hands. */
export class SimDelivery implements Delivery {
  readonly subject: string
  readonly data: Uint8Array
  readonly seq: number
  readonly time: Date
  #settled = false

  constructor(
    private readonly link: Link,
    private readonly consumer: Settling,
    private readonly record: SimRecord,
    readonly deliveryCount = 1,
  ) {
    this.subject = record.subject
    this.data = record.data
    this.seq = record.seq
    this.time = record.time
  }

  header(name: string): string | undefined {
    return name.toLowerCase() === "nats-msg-id" ? this.record.id : undefined
  }

  headerNames(): Iterable<string> {
    return this.record.id === undefined ? [] : ["Nats-Msg-Id"]
  }

  ack(): void {
    this.#settle(() => this.consumer.ack(this.seq))
  }

  giveBack(delayMs = 0): void {
    this.#settle(() => this.consumer.giveBack?.(this.seq, delayMs))
  }

  working(): void {
    if (!this.#settled) this.link.say(() => this.consumer.working(this.seq))
  }

  receipt(): Receipt {
    return this
  }

  #settle(effect: () => void): void {
    if (this.#settled) return
    this.#settled = true
    this.link.say(effect)
  }
}
