import { askUntilAnswered } from "./ask.js"
import type { Link } from "./link.js"
import type { Publisher } from "./publisher.js"
import { readDirect } from "./read-direct.js"

/** One record of a log stream. */
export interface LogRecord {
  readonly subject: string
  /** Sequence in the stream: what the next append to the same subject is fenced by. */
  readonly seq: number
  readonly data: Uint8Array
  /** When the server stored it. */
  readonly time: Date
}

/** How an append may differ from the ordinary. */
export interface AppendOptions {
  /** Keep the record also when the stream's age limit is over. Default false. */
  readonly forEver?: boolean
}

/**
 * A stream as sessions and journals use it: each subject is a log of its own, with one writer at a time by fence. A port,
 * so that what stands on it runs over a model of the server as well.
 */
export interface RecordLog {
  /**
   * Appends a record.
   *
   * @param expectedSeq sequence of the last record on this subject; 0 for none
   * @throws MurmurError `FENCE_CONFLICT` when it is another one. After a lost ack the repeat conflicts with our own
   *   record, so a conflict is for the caller to look into
   */
  append(subject: string, payload: Uint8Array, expectedSeq: number, options?: AppendOptions): Promise<{ seq: number }>
  /** The last record of a subject. */
  last(subject: string): Promise<LogRecord | undefined>
  /** The record at a sequence, unless it is gone. */
  at(seq: number): Promise<LogRecord | undefined>
  /** What a subject holds now, in order. */
  read(subject: string, range: { readonly from: number; readonly to?: number }): AsyncIterable<LogRecord>
  /** Deletes a subject's records before a sequence, where that is allowed. Never all of them: an empty log would let a zombie pass the fence. */
  deleteBefore(subject: string, seq: number): Promise<void>
}

/** A log stream of the mesh. */
export class StreamLog implements RecordLog {
  constructor(
    private readonly link: Link,
    private readonly publisher: Publisher,
    private readonly stream: string,
  ) {}

  append(
    subject: string,
    payload: Uint8Array,
    expectedSeq: number,
    options: AppendOptions = {},
  ): Promise<{ seq: number }> {
    const extra = options.forEver === true ? { "Nats-TTL": "never" } : undefined
    return this.publisher.append(subject, payload, expectedSeq, extra)
  }

  async last(subject: string): Promise<LogRecord | undefined> {
    const { streams } = this.link.manager
    return (
      (await askUntilAnswered(this.link, () => streams.getMessage(this.stream, { last_by_subj: subject }))) ?? undefined
    )
  }

  async at(seq: number): Promise<LogRecord | undefined> {
    const { streams } = this.link.manager
    return (await askUntilAnswered(this.link, () => streams.getMessage(this.stream, { seq }))) ?? undefined
  }

  read(subject: string, { from, to }: { readonly from: number; readonly to?: number }): AsyncIterable<LogRecord> {
    const range = to === undefined ? {} : { toSeq: to }
    return readDirect(this.link, { stream: this.stream, filter: subject, from: { seq: from }, ...range })
  }

  async deleteBefore(subject: string, seq: number): Promise<void> {
    if (!this.link.rights.mayPurge(this.stream)) return
    await askUntilAnswered(this.link, () => this.link.manager.streams.purge(this.stream, { filter: subject, seq }))
  }
}
