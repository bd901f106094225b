import type { Consumer, ConsumerMessages, OrderedConsumerOptions } from "@nats-io/jetstream"
import type { Link } from "./link.js"
import { type ReadMessage, StreamMessage } from "./stream-message.js"

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
  /** Told when the server has begun to keep what is to be read: at the beginning, and again after a fault. */
  readonly onOpened?: () => void
}

/** A question that was asked in the moment in which the connection broke is lost: without heartbeats it is asked anew. */
const HEARTBEAT_MS = 3_000

/** A consumer for one reader, that the server forgets by itself. */
export function orderedConsumer(link: Link, options: ReadOptions): Promise<Consumer> {
  const config: Partial<OrderedConsumerOptions> = { filter_subjects: options.filter }
  if (options.headersOnly === true) config.headers_only = true
  if ("time" in options.from) {
    config.deliver_policy = "by_start_time"
    config.opt_start_time = options.from.time.toISOString()
  } else {
    config.deliver_policy = "by_start_sequence"
    config.opt_start_seq = Math.max(1, options.from.seq)
  }
  return link.state.ask(() => link.client.consumers.get(options.stream, config), options.signal)
}

/** One batch. @throws Error when the server that keeps the consumer is gone */
export async function* fetchBatch(
  link: Link,
  consumer: Consumer,
  { signal }: ReadOptions,
  count: number,
  expiresMs: number,
): AsyncGenerator<ReadMessage> {
  const batch: ConsumerMessages = await consumer.fetch({
    max_messages: count,
    expires: expiresMs,
    idle_heartbeat: Math.min(HEARTBEAT_MS, expiresMs / 2),
  })
  const stop = (): void => batch.stop()
  const forgetBroken = link.state.onBroken(() => batch.stop(gone()))
  signal?.addEventListener("abort", stop, { once: true })
  if (signal?.aborted === true) stop()
  void endWhenSilent(batch)
  try {
    for await (const message of batch) yield new StreamMessage(message)
  } finally {
    forgetBroken()
    signal?.removeEventListener("abort", stop)
    stop()
  }
}

/**
 * The one server that keeps the consumer may be gone, and of a cluster the others go on. The client would wait until it is
 * back (measured: for as long as it was away); a new consumer is kept by another server.
 */
async function endWhenSilent(batch: ConsumerMessages): Promise<void> {
  for await (const { type } of batch.status()) if (type === "heartbeats_missed") batch.stop(gone())
}

const gone = (): Error => new Error("the server that keeps the consumer does not answer")

/** The server forgets it anyway, five minutes later. */
export function forget(consumer: Consumer): void {
  consumer.delete().catch(() => {})
}
