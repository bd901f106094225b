import { setTimeout as delay } from "node:timers/promises"
import type { Consumer, JsMsg, OrderedConsumerOptions } from "@nats-io/jetstream"
import { Match, type MsgHdrs } from "@nats-io/transport-node"
import type { StoredMessage } from "./decode.js"
import type { Link } from "./link.js"

/** A position in a stream: the first message at or after it is the first that is read. */
export type StreamPosition = { readonly seq: number } | { readonly time: Date }

export interface ReadOptions {
  readonly stream: string
  /** One subject filter. */
  readonly filter: string
  readonly from: StreamPosition
  readonly signal?: AbortSignal | undefined
  /** Skip payloads. Default false. */
  readonly headersOnly?: boolean
  /** How many messages are asked for at a time: the bound on what waits in memory. Default 256. */
  readonly batchMax?: number
}

/** One stored message, with what is known about those behind it. */
export interface ReadMessage extends StoredMessage {
  /** How many more messages match at this moment. */
  readonly pending: number
}

const FETCH_EXPIRES_MS = 30_000
const RETRY_MS_MAX = 2_000

/**
 * Reads a stream in order, history first and then what comes, until aborted. No message is missed or repeated, also
 * when the connection or the server goes away in between. Asks for the next batch only when the last one was taken,
 * so a slow reader holds back the server and not its own memory.
 */
export async function* readStream(link: Link, options: ReadOptions): AsyncGenerator<ReadMessage> {
  let from = options.from
  for (let failures = 0; !options.signal?.aborted; ) {
    try {
      for await (const message of readUntilFault(link, { ...options, from })) {
        failures = 0
        from = { seq: message.seq + 1 }
        yield message
      }
    } catch (error) {
      if (options.signal?.aborted || link.connection.isClosed()) return
      failures += 1
      if (failures > 20 && "time" in from) throw error
    }
    if (link.connection.isClosed()) return
    await delay(Math.min(RETRY_MS_MAX, 50 * 2 ** failures), undefined, { signal: options.signal }).catch(() => {})
  }
}

/**
 * Reads what a stream holds now, in order, and ends. Costs one request when nothing matches.
 *
 * @param toSeq the last sequence to read; default: what is there when the reading starts
 */
export async function* readHistory(
  link: Link,
  options: ReadOptions & { readonly toSeq?: number },
): AsyncGenerator<ReadMessage> {
  const consumer = await orderedConsumer(link, options)
  const info = await consumer.info(true)
  await consumer.delete().catch(() => {}) // it only told how much there is; the reading makes its own
  if (info.num_pending === 0) return
  for await (const message of readStream(link, options)) {
    if (options.toSeq !== undefined && message.seq > options.toSeq) return
    yield message
    if (message.pending === 0 || message.seq === options.toSeq) return
  }
}

/** One message by its sequence; `undefined` when it is not there any more. */
export async function readMessage(link: Link, stream: string, seq: number): Promise<StoredMessage | undefined> {
  const found = await link.manager.streams.getMessage(stream, { seq })
  if (found === null) return undefined
  const { subject, data, time, header: headers } = found
  return {
    ...{ subject, data, seq, time },
    header: (name) => header(headers, name),
    headerNames: () => headers?.keys() ?? [],
  }
}

async function* readUntilFault(link: Link, options: ReadOptions): AsyncGenerator<ReadMessage> {
  const consumer = await orderedConsumer(link, options)
  try {
    while (!options.signal?.aborted) {
      const batch = await consumer.fetch({ max_messages: options.batchMax ?? 256, expires: FETCH_EXPIRES_MS })
      const stop = (): void => batch.stop()
      options.signal?.addEventListener("abort", stop, { once: true })
      try {
        for await (const message of batch) yield new StreamMessage(message)
      } finally {
        options.signal?.removeEventListener("abort", stop)
        batch.stop()
      }
    }
  } finally {
    consumer.delete().catch(() => {}) // the server forgets it anyway, five minutes later
  }
}

function orderedConsumer(link: Link, options: ReadOptions): Promise<Consumer> {
  const config: Partial<OrderedConsumerOptions> = { filter_subjects: options.filter }
  if (options.headersOnly === true) config.headers_only = true
  if ("time" in options.from) {
    config.deliver_policy = "by_start_time"
    config.opt_start_time = options.from.time.toISOString()
  } else {
    config.deliver_policy = "by_start_sequence"
    config.opt_start_seq = Math.max(1, options.from.seq)
  }
  return link.client.consumers.get(options.stream, config)
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

  ack(): void {
    this.message.ack()
  }

  working(): void {
    this.message.working()
  }
}

/** A header's first value, whatever the case of its name. */
export function header(headers: MsgHdrs | undefined, name: string): string | undefined {
  const value = headers?.get(name, Match.IgnoreCase)
  return value === "" || value === undefined ? undefined : value
}
