import type { Bucket } from "../bus/bucket.js"
import { PRESENCE_TTL_MS, PresenceRecord } from "./buckets.js"

/** A node announces itself five times in the life of its record; after three that did not come it counts as gone. */
const SILENT_MS = (PRESENCE_TTL_MS / 5) * 3

/**
 * Waits until every node that is alive says what is wanted, or the time is up.
 *
 * @returns the nodes that did not say it; empty when all did
 */
export async function awaitNodes(
  presence: Bucket,
  wanted: (node: PresenceRecord) => boolean,
  timeoutMs: number,
): Promise<string[]> {
  const signal = AbortSignal.timeout(timeoutMs)
  const nodes = new Map<string, { readonly done: boolean; readonly at: number }>()
  let synced = false
  const behind = (): string[] => {
    // by the server's clock: the newest sign of life is about now, or it is this node's own last one
    const newest = Math.max(...[...nodes.values()].map(({ at }) => at))
    return [...nodes].filter(([, { done, at }]) => !done && newest - at < SILENT_MS).map(([id]) => id)
  }
  for await (const change of presence.watch({ signal })) {
    if ("synced" in change) synced = true
    else {
      const checked = PresenceRecord.safeParse(change.value)
      if (checked.success) nodes.set(change.key, { done: wanted(checked.data), at: change.at.getTime() })
      else nodes.delete(change.key)
    }
    if (synced && behind().length === 0) return []
  }
  return behind()
}
