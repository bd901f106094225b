import { setTimeout as delay } from "node:timers/promises"
import type { StoredMsg } from "@nats-io/jetstream"
import { askUntilAnswered } from "./ask.js"
import type { StoredMessage } from "./decode.js"
import { type DirectMessage, directBatch } from "./direct-get.js"
import type { Link } from "./link.js"
import { header } from "./stream-message.js"

/** What is read, and how far. */
export interface DirectRead {
  readonly stream: string
  readonly filter: string
  readonly from: { readonly seq: number } | { readonly time: Date }
  /** The last sequence to read; default: what is there. */
  readonly toSeq?: number
  readonly signal?: AbortSignal | undefined
}

/** The first batch is small: most logs are. */
const FIRST_BATCH = 100
const BATCH_MAX = 1_000
/** A server that is behind is asked again after so long; the next time another one may answer. */
const BEHIND_MS = 20
/** Whoever may not make a consumer looks so often for what is new. */
const LOOK_MS = 250

/**
 * Reads what a stream holds now, in order, without a consumer. The bulk comes from any of the stream's servers, which on a
 * cluster may be behind; the leader says what is next and when there is no more, so nothing that was acked is left out.
 *
 * Ends early, and silently, when it is aborted.
 *
 * Measured: 2,000 records in 21 ms (a consumer: 25 ms), 200 in 2 ms, none in 0.4 ms (1.0 ms).
 */
export async function* readDirect(link: Link, read: DirectRead): AsyncGenerator<DirectMessage> {
  try {
    yield* readBatches(link, read)
  } catch (error) {
    if (!isAborted(read.signal)) throw error
  }
}

async function* readBatches(link: Link, read: DirectRead): AsyncGenerator<DirectMessage> {
  const { stream, filter, toSeq = Number.POSITIVE_INFINITY, signal } = read
  let { from } = read
  for (let countMax = FIRST_BATCH; !isAborted(signal); countMax = BATCH_MAX) {
    const query = { stream, filter, from, countMax }
    const batch = await askUntilAnswered(link, () => directBatch(link, query), signal)
    for (const message of batch) {
      if (message.seq > toSeq || isAborted(signal)) return
      yield message
      from = { seq: message.seq + 1 }
    }
    if ("seq" in from && from.seq > toSeq) return
    if ((batch.at(-1)?.pending ?? 0) > 0) continue
    const next = await nextOnLeader(link, { stream, filter, from }, signal)
    if (next === undefined || next.seq > toSeq) return
    if (batch.length === 0) await delay(BEHIND_MS)
  }
}

/** Reads what a stream holds, and what comes, until aborted or until the connection is closed. */
export async function* followDirect(
  link: Link,
  read: Omit<DirectRead, "toSeq">,
  lookMs = LOOK_MS,
): AsyncGenerator<DirectMessage> {
  const { signal } = read
  let { from } = read
  while (!isAborted(signal) && !link.connection.isClosed()) {
    for await (const message of readDirect(link, { ...read, from })) {
      yield message
      from = { seq: message.seq + 1 }
    }
    await delay(lookMs, undefined, { signal }).catch(() => {})
  }
}

const isAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true

/** The next message that fits, as the stream's leader knows it. */
export async function nextOnLeader(
  link: Link,
  { stream, filter, from }: Pick<DirectRead, "stream" | "filter" | "from">,
  signal?: AbortSignal,
): Promise<StoredMessage | undefined> {
  // the client's types do not know that the leader takes a time as well
  const start = "time" in from ? { start_time: from.time.toISOString() } : { seq: Math.max(1, from.seq) }
  const query = { ...start, next_by_subj: filter } as { seq: number; next_by_subj: string }
  const found = await askUntilAnswered(link, () => link.manager.streams.getMessage(stream, query), signal)
  return found === null ? undefined : stored(found)
}

/** A message that was asked for on its own. */
export function stored({ subject, data, seq, time, header: headers }: StoredMsg): StoredMessage {
  return {
    ...{ subject, data, seq, time },
    header: (name) => header(headers, name),
    headerNames: () => headers?.keys() ?? [],
  }
}
