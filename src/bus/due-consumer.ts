import { setTimeout as delay } from "node:timers/promises"
import type { JsMsg } from "@nats-io/jetstream"
import type { Log } from "../telemetry/ports.js"
import { type DurableOptions, ensureDurable } from "./consumers.js"
import type { Link } from "./link.js"
import { StreamMessage } from "./stream-message.js"

/** What is due, and who of the mesh takes it. */
export interface DueOptions {
  readonly stream: string
  readonly durable: string
  readonly filter: string
  /** How many are handled side by side. */
  readonly concurrency: number
  readonly log: Log
}

const ACK_WAIT_MS = 30_000
const RETRY_MS = 1_000
const ACK_PENDING_MAX = 100

/**
 * Hands each message of a shared durable to `onDue`, on any one node of the mesh, until aborted. It is done when `onDue`
 * resolves; a throw or a crash brings it back. While `onDue` runs the message stays with this node.
 *
 * @throws MurmurError `CONSUMER_SETUP`
 */
export async function consumeDue(
  link: Link,
  options: DueOptions,
  onDue: (message: StreamMessage) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  await ensure(link, options)
  while (!signal.aborted && !link.connection.isClosed()) {
    try {
      await consumeOnce(link, options, onDue, signal)
    } catch (error) {
      options.log.warn({ durable: options.durable, error }, "cannot consume what is due; trying again")
      await delay(RETRY_MS, undefined, { signal }).catch(() => {})
      await ensure(link, options).catch(() => {}) // it may have been removed
    }
  }
}

async function ensure(link: Link, options: DueOptions): Promise<void> {
  await ensureDurable(link, dueDurable(options))
}

/** The shared durable that {@link consumeDue} reads. */
export function dueDurable({
  stream,
  durable,
  filter,
}: Pick<DueOptions, "stream" | "durable" | "filter">): DurableOptions {
  return {
    stream,
    name: durable,
    filters: [filter],
    from: "start",
    ackPendingMax: ACK_PENDING_MAX,
    ackWaitMs: ACK_WAIT_MS,
    pinned: false,
  }
}

async function consumeOnce(
  link: Link,
  options: DueOptions,
  onDue: (message: StreamMessage) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const consumer = await link.state.ask(() => link.client.consumers.get(options.stream, options.durable))
  // what is handed out beside those that run would wait behind them and not be kept alive
  const messages = await consumer.consume({ max_messages: options.concurrency, abort_on_missing_resource: true })
  const stop = (): void => messages.stop()
  signal.addEventListener("abort", stop, { once: true })
  if (signal.aborted) stop()
  const running = new Set<Promise<void>>()
  try {
    for await (const raw of messages) {
      if (signal.aborted) return // it was handed out and is not begun: it comes again, to another node
      const handling = handle(link, options, raw, onDue).finally(() => running.delete(handling))
      running.add(handling)
      if (running.size >= options.concurrency) await Promise.race(running)
    }
  } finally {
    signal.removeEventListener("abort", stop)
    await Promise.all(running)
  }
}

async function handle(
  link: Link,
  { durable, log }: DueOptions,
  raw: JsMsg,
  onDue: (message: StreamMessage) => Promise<void>,
): Promise<void> {
  const message = new StreamMessage(raw)
  const keepAlive = setInterval(() => message.working(), ACK_WAIT_MS / 3)
  try {
    await onDue(message)
    message.ack()
  } catch (error) {
    log.warn({ durable, subject: message.subject, error }, "what is due was not handled; it comes back")
    if (!link.connection.isClosed()) raw.nak(RETRY_MS)
  } finally {
    clearInterval(keepAlive)
  }
}
