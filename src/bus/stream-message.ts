import type { JsMsg } from "@nats-io/jetstream"
import { Match, type MsgHdrs } from "@nats-io/transport-node"
import type { StoredMessage } from "./decode.js"

/** One stored message, with what is known about those behind it. */
export interface ReadMessage extends StoredMessage {
  /** How many more messages match at this moment. */
  readonly pending: number
}

/** A JetStream message seen through the bus's own eyes. */
export class StreamMessage implements ReadMessage {
  constructor(readonly message: JsMsg) {}

  get subject(): string {
    return this.message.subject
  }

  get data(): Uint8Array {
    return this.message.data
  }

  get seq(): number {
    return this.message.seq
  }

  get time(): Date {
    return this.message.time
  }

  get pending(): number {
    return this.message.info.pending
  }

  header(name: string): string | undefined {
    return header(this.message.headers, name)
  }

  headerNames(): Iterable<string> {
    return this.message.headers?.keys() ?? []
  }

  /** Says that it is done. Never throws: what is not acked comes again. */
  ack(): void {
    settle(() => this.message.ack())
  }

  /** Says that it is being worked on. Never throws. */
  working(): void {
    settle(() => this.message.working())
  }
}

/** On a closed connection the client throws; there is nobody to tell any more. */
function settle(say: () => void): void {
  try {
    say()
  } catch {
    // it comes again
  }
}

/** A header's first value, whatever the case of its name. */
export function header(headers: MsgHdrs | undefined, name: string): string | undefined {
  const value = headers?.get(name, Match.IgnoreCase)
  return value === "" || value === undefined ? undefined : value
}
