import type { SealedEvent } from "../bus/encode.js"
import type { EventPort } from "./ports.js"

/** How far the clock of this node may be ahead of the server's. */
const CLOCK_SKEW_MS = 60_000

/**
 * Publishes those outputs of a commit that are not on the bus yet. Whether its writer had published them when it died is
 * not known, and the server's dedup window may be over: the stream itself tells.
 *
 * @param since when the commit was made
 */
export async function publishMissing(
  events: Pick<EventPort, "ids" | "store">,
  producer: string,
  outputs: readonly SealedEvent[],
  since: Date,
): Promise<void> {
  if (outputs.length === 0) return
  const missing = new Map(outputs.map((output) => [output.id, output]))
  const keys = new Set(outputs.map(({ key }) => key))
  const [only] = keys
  const from = new Date(since.getTime() - CLOCK_SKEW_MS)
  for await (const id of events.ids(producer, keys.size === 1 ? only : undefined, from)) {
    missing.delete(id)
    if (missing.size === 0) return
  }
  for (const output of missing.values()) await events.store(output)
}
