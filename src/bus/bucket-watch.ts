import type { BucketChange, BucketEntry } from "./bucket.js"
import type { StoredMessage } from "./decode.js"
import type { Link } from "./link.js"
import { followDirect, readDirect } from "./read-direct.js"
import { readStream } from "./reader.js"

/** What a client that may not make a consumer hears of a change later than others, at most. */
const LOOK_MS = 500

/** Which entries of which bucket. */
export interface WatchedEntries {
  readonly bucket: string
  /** Over keys, with NATS wildcards. */
  readonly filter: string
  readonly signal: AbortSignal
}

/**
 * What a bucket holds, then `synced`, then each change. The client's own watch is kept by one server of a cluster: when that
 * one was gone, four of six watches heard nothing more until it was back (measured; it says nothing of that).
 */
export async function* watchBucket(link: Link, watched: WatchedEntries): AsyncGenerator<BucketChange> {
  const { signal } = watched
  let seq = 1
  for await (const entry of entriesOf(link, watched)) {
    yield entry
    seq = entry.revision + 1
  }
  if (signal.aborted) return
  yield { synced: true }
  const { read, prefix } = readingOf(watched)
  const following = { ...read, from: { seq } }
  const changes = link.rights.restricted ? followDirect(link, following, LOOK_MS) : readStream(link, following)
  for await (const message of changes) yield entryOf(message, prefix)
}

/** What a bucket holds, deleted entries included, as far as it was written before. Ends early when it is aborted. */
export async function* entriesOf(link: Link, watched: WatchedEntries): AsyncGenerator<BucketEntry> {
  const { read, prefix } = readingOf(watched)
  for await (const message of readDirect(link, { ...read, from: { seq: 1 } })) yield entryOf(message, prefix)
}

function readingOf({ bucket, filter, signal }: WatchedEntries) {
  const prefix = `$KV.${bucket}.`
  return { prefix, read: { stream: `KV_${bucket}`, filter: prefix + filter, signal } }
}

/** An entry as it lies in the bucket's stream. */
export function entryOf(message: StoredMessage, prefix: string): BucketEntry {
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
