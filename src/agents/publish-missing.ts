import type { Bus } from "../bus/bus.js"
import type { SealedEvent } from "../bus/encode.js"
import { readHistory } from "../bus/reader.js"

/** How far the clock of this node may be ahead of the server's. */
const CLOCK_SKEW_MS = 60_000

/**
 * Publishes those outputs of a commit that are not on the bus yet. Whether its writer had published them when it died is
 * not known, and the server's dedup window may be over: the stream itself tells.
 *
 * @param since when the commit was made
 */
export async function publishMissing(
  bus: Bus,
  producer: string,
  outputs: readonly SealedEvent[],
  since: Date,
): Promise<void> {
  if (outputs.length === 0) return
  const missing = new Map(outputs.map((output) => [output.id, output]))
  const keys = new Set(outputs.map(({ key }) => key))
  const [only] = keys
  const filter = bus.names.storedFilter(">", { producer, ...(keys.size === 1 && only !== undefined && { key: only }) })
  const from = { time: new Date(since.getTime() - CLOCK_SKEW_MS) }
  for await (const message of readHistory(bus.link, { stream: bus.names.events, filter, from, headersOnly: true })) {
    missing.delete(message.header("Nats-Msg-Id") ?? "")
    if (missing.size === 0) return
  }
  for (const output of missing.values()) await bus.publisher.store(output)
}
