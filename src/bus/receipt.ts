import type { NatsConnection } from "@nats-io/transport-node"

/** Settles a message that a consumer handed out. Never throws: what is not acked comes again. */
export interface Receipt {
  /** Says that it is done. The server may forget this when it crashes at once: a step must be once in effect without it. */
  ack(): void
  /** Says that it is being worked on, so that the server does not hand it out again. */
  working(): void
}

const ACK = Buffer.from("+ACK")
const WORKING = Buffer.from("+WPI")

/**
 * What is kept of a message while it is worked on: where its ack goes. A thousand messages may wait on a node; if each
 * held its headers and bytes as well, the collector would copy them again and again (measured: a sixth of the CPU).
 */
export class AckReceipt implements Receipt {
  #acked = false

  constructor(
    private readonly connection: NatsConnection,
    private readonly reply: string,
  ) {}

  ack(): void {
    if (this.#acked) return
    this.#acked = true
    this.#say(ACK)
  }

  working(): void {
    if (!this.#acked) this.#say(WORKING)
  }

  #say(what: Uint8Array): void {
    if (!this.connection.isClosed()) this.connection.publish(this.reply, what)
  }
}
