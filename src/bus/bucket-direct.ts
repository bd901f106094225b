import { setTimeout as delay } from "node:timers/promises"
import type { BucketChange, BucketEntry } from "./bucket.js"
import type { StoredMessage } from "./decode.js"
import type { Link } from "./link.js"
import { readDirect } from "./read-direct.js"

/** What a client that may not make a consumer hears of a change later than others, at most. */
const LOOK_MS = 500

/** Which entries of which bucket. */
export interface DirectEntries {
  readonly bucket: string
  /** Over keys, with NATS wildcards. */
  readonly filter: string
  readonly signal: AbortSignal
}

/** As the watch of a bucket, without a consumer: it asks twice a second for what was written since. */
export async function* watchDirect(
  link: Link,
  { bucket, filter, signal }: DirectEntries,
): AsyncGenerator<BucketChange> {
  const prefix = `$KV.${bucket}.`
  const read = { stream: `KV_${bucket}`, filter: prefix + filter, signal }
  for (let [seq, synced] = [1, false]; !signal.aborted && !link.connection.isClosed(); ) {
    for await (const message of readDirect(link, { ...read, from: { seq } })) {
      yield entryOf(message, prefix)
      seq = message.seq + 1
    }
    if (!synced) yield { synced: true }
    synced = true
    await delay(LOOK_MS, undefined, { signal }).catch(() => {})
  }
}

function entryOf(message: StoredMessage, prefix: string): BucketEntry {
  const { subject, seq, time, data } = message
  const gone = message.header("KV-Operation") !== undefined || message.header("Nats-Marker-Reason") !== undefined
  return { key: subject.slice(prefix.length), value: gone ? undefined : parse(data), revision: seq, at: time }
}

function parse(data: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(data).toString())
  } catch {
    return null // not written by us: for the reader to refuse
  }
}
