import { askUntilAnswered } from "./ask.js"
import type { BucketChange, BucketEntry } from "./bucket.js"
import type { StoredMessage } from "./decode.js"
import type { Link } from "./link.js"
import { type DirectRead, followDirect, readDirect } from "./read-direct.js"
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
  const { prefix, read } = readingOf(watched)
  const ending = new AbortController()
  const signal = AbortSignal.any([watched.signal, ending.signal])
  let changes: AsyncGenerator<StoredMessage> | undefined
  try {
    const { state } = await askUntilAnswered(link, () => link.manager.streams.info(read.stream), signal)
    const following = follow(link, { ...read, from: { seq: state.last_seq + 1 }, signal })
    changes = following.changes
    const first = changes.next() // asked for now: what is written while the rest is read is not passed over
    first.catch(() => {}) // it is awaited when the rest is read
    await Promise.race([following.opened, first])
    yield* entriesOf(link, watched, state.last_seq)
    if (watched.signal.aborted) return
    yield { synced: true }
    for (let next = await first; next.done !== true; next = await changes.next()) yield entryOf(next.value, prefix)
  } catch (error) {
    if (!watched.signal.aborted) throw error
  } finally {
    ending.abort()
    changes?.return(undefined).catch(() => {}) // or it would stay where it is, with its consumer
  }
}

function follow(
  link: Link,
  read: DirectRead,
): { readonly changes: AsyncGenerator<StoredMessage>; readonly opened: Promise<void> } {
  if (link.rights.restricted) return { changes: followDirect(link, read, LOOK_MS), opened: Promise.resolve() }
  let onOpened = (): void => {}
  const opened = new Promise<void>((resolve) => {
    onOpened = resolve
  })
  return { changes: readStream(link, { ...read, onOpened }), opened }
}

/** What a bucket holds, deleted entries included, as far as it was written before. Ends early when it is aborted. */
export async function* entriesOf(
  link: Link,
  watched: WatchedEntries,
  toSeq = Number.POSITIVE_INFINITY,
): AsyncGenerator<BucketEntry> {
  const { read, prefix } = readingOf(watched)
  for await (const message of readDirect(link, { ...read, from: { seq: 1 }, toSeq })) yield entryOf(message, prefix)
}

function readingOf({ bucket, filter, signal }: WatchedEntries): {
  readonly prefix: string
  readonly read: Pick<DirectRead, "stream" | "filter" | "signal">
} {
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
