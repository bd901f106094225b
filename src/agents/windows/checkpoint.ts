import { randomUUID } from "node:crypto"
import { z } from "zod"
import type { Bus } from "../../bus/bus.js"
import type { StoredMessage } from "../../bus/decode.js"
import type { SealedEvent } from "../../bus/encode.js"
import { readDirect } from "../../bus/read-direct.js"
import { isMurmurError, MurmurError } from "../../errors.js"

/** One window that closed, in a commit. */
export interface WindowClose {
  readonly key: string | null
  /** Which window operator of the pipeline, from 0. */
  readonly operator: number
  /** Event time through which this key's windows are closed. */
  readonly through: number
  readonly outputs: readonly SealedEvent[]
}

const Through = z.tuple([z.string().nullable(), z.number(), z.number()])

/** What is stored: commits, and now and then a snapshot of how far each key is closed. */
const Record = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("commit"),
    id: z.string(),
    /** Events from here on must be read again to rebuild the windows that are open. */
    rebuildFrom: z.number(),
    /** The record from which this log must be folded. 0: from this one. */
    foldFrom: z.number(),
    closes: z.array(
      z.object({
        key: z.string().nullable(),
        operator: z.number(),
        through: z.number(),
        outputs: z.array(z.unknown()),
      }),
    ),
    /** Events at or after `rebuildFrom` that broke the pipeline and are in the dead letters. */
    poisoned: z.array(z.number()),
  }),
  z.object({ kind: z.literal("snapshot"), through: z.array(Through) }),
])
type Record = z.infer<typeof Record>

/** A log in the SESSIONS stream is compacted after so many commits. */
const COMPACT_AFTER = 1_000
/** Characters of keys in one record of a snapshot, with some for each entry: any server takes a record of this size. */
const SNAPSHOT_CHARS_MAX = 100_000
/** Of how many keys it is known how far they are closed. Beyond, those whose windows closed longest ago are forgotten. */
const KEYS_MAX = 1_000_000

/**
 * The durable side of one partition's windows: a log of commits with one writer, by fence. From it a node learns which
 * events to read again, how far each key is closed, and which outputs the last commit promised.
 */
export class WindowLog {
  /** Event time through which a key's windows are closed. */
  readonly #through = new Map<string, number>()
  #poisoned = new Set<number>()
  #rebuildFrom = 0
  #foldFrom = 0
  #commits = 0
  #lastSeq = 0
  #last: { readonly outputs: readonly SealedEvent[]; readonly at: Date } | undefined

  private constructor(
    private readonly bus: Bus,
    private readonly stream: string,
    private readonly subject: string,
  ) {}

  /** Reads the log of a partition. */
  static async open(bus: Bus, agent: string, partition: number): Promise<WindowLog> {
    const log = new WindowLog(bus, bus.names.sessionsOf(agent), `${bus.names.mesh}.ses.${agent}._windows.${partition}`)
    await log.#load()
    return log
  }

  /**
   * Makes this node the writer: another one that still holds itself for the owner fails at its next commit. To be
   * called when the outputs in doubt are published, for afterwards they are not known any more.
   *
   * @param firstSeq where a new log begins
   * @throws MurmurError `FENCE_CONFLICT` when another node wrote since the log was read
   */
  async claim(firstSeq: number): Promise<void> {
    await this.commit([], this.#lastSeq === 0 ? firstSeq : this.#rebuildFrom, [])
  }

  /** Events at or after this sequence must be read again. */
  get rebuildFrom(): number {
    return this.#rebuildFrom
  }

  /** The outputs of the last commit, and when it was stored: whether they were published is not known after a crash. */
  get inDoubt(): { readonly outputs: readonly SealedEvent[]; readonly at: Date } | undefined {
    return this.#last
  }

  closedThrough(key: string | undefined, operator: number): number {
    return this.#through.get(throughKey(key ?? null, operator)) ?? Number.NEGATIVE_INFINITY
  }

  isPoisoned(seq: number): boolean {
    return this.#poisoned.has(seq)
  }

  /**
   * Commits windows that closed.
   *
   * @param rebuildFrom sequence of the oldest event in a window that is still open, or of the next event
   * @param poisoned further events that broke the pipeline
   * @throws MurmurError `FENCE_CONFLICT` when another node writes this log: this one has lost the partition
   */
  async commit(closes: readonly WindowClose[], rebuildFrom: number, poisoned: readonly number[]): Promise<void> {
    if (this.#commits >= COMPACT_AFTER) await this.#compact()
    for (const seq of poisoned) this.#poisoned.add(seq)
    for (const seq of this.#poisoned) if (seq < rebuildFrom) this.#poisoned.delete(seq)
    const commit: Record = {
      kind: "commit",
      id: randomUUID(),
      rebuildFrom,
      foldFrom: this.#foldFrom,
      closes: closes.map((close) => ({ ...close, outputs: [...close.outputs] })),
      poisoned: [...this.#poisoned],
    }
    await this.#append(commit)
    this.#fold(commit)
  }

  async #append(record: Record): Promise<void> {
    const payload = Buffer.from(JSON.stringify(record))
    try {
      this.#lastSeq = (await this.bus.publisher.append(this.subject, payload, this.#lastSeq)).seq
    } catch (error) {
      // after a lost ack the repeat conflicts with our own record: only its content tells
      if (!isMurmurError(error) || error.code !== "FENCE_CONFLICT") throw error
      const last = await this.#lastRecord()
      if (last === undefined || !payload.equals(last.data)) throw error
      this.#lastSeq = last.seq
    }
  }

  async #load(): Promise<void> {
    const last = await this.#lastRecord()
    if (last === undefined) return
    const head = parse(last.data, this.subject)
    const from = head.kind === "commit" && head.foldFrom > 0 ? head.foldFrom : 1
    const read = { stream: this.stream, filter: this.subject, from: { seq: from } }
    for await (const message of readDirect(this.bus.link, read)) this.#foldMessage(message)
  }

  #foldMessage(message: StoredMessage): void {
    const record = parse(message.data, this.subject)
    this.#lastSeq = message.seq
    this.#fold(record)
    if (record.kind !== "commit") return
    this.#foldFrom = record.foldFrom
    this.#poisoned = new Set(record.poisoned)
    const outputs = record.closes.flatMap((close) => close.outputs as SealedEvent[])
    this.#last = { outputs: outputs.map(revive), at: message.time }
  }

  #fold(record: Record): void {
    if (record.kind === "snapshot") {
      for (const [key, operator, through] of record.through) this.#through.set(throughKey(key, operator), through)
      return
    }
    this.#rebuildFrom = record.rebuildFrom
    this.#commits += 1
    for (const { key, operator, through } of record.closes) {
      const joined = throughKey(key, operator)
      this.#through.delete(joined) // to the end: those closed longest ago stand first
      this.#through.set(joined, through)
    }
  }

  /** Writes how far every key is closed; the next commit points at it, and what lies before is purged. */
  async #compact(): Promise<void> {
    for (const joined of this.#through.keys()) {
      if (this.#through.size <= KEYS_MAX) break
      this.#through.delete(joined)
    }
    let foldFrom = 0
    for (const through of snapshots(this.#through)) {
      await this.#append({ kind: "snapshot", through })
      if (foldFrom === 0) foldFrom = this.#lastSeq
    }
    this.#foldFrom = foldFrom
    this.#commits = 0
    const { id, poisoned } = { id: randomUUID(), poisoned: [...this.#poisoned] }
    await this.#append({ kind: "commit", id, rebuildFrom: this.#rebuildFrom, foldFrom, closes: [], poisoned })
    const purge = { filter: this.subject, seq: foldFrom }
    // without the right to purge, or without an answer, it is only longer than it need be
    const { manager, rights } = this.bus.link
    if (rights.mayPurge(this.stream)) await manager.streams.purge(this.stream, purge).catch(() => {})
  }

  async #lastRecord(): Promise<{ data: Uint8Array; seq: number } | undefined> {
    const query = { last_by_subj: this.subject }
    return (await this.bus.link.manager.streams.getMessage(this.stream, query)) ?? undefined
  }
}

/** How far every key is closed, in records of a size that any server takes. At least one. */
function* snapshots(all: ReadonlyMap<string, number>): Generator<z.infer<typeof Through>[]> {
  let through: z.infer<typeof Through>[] = []
  let chars = 0
  for (const [joined, at] of all) {
    if (chars > SNAPSHOT_CHARS_MAX) {
      yield through
      through = []
      chars = 0
    }
    through.push([...splitKey(joined), at])
    chars += joined.length + 30
  }
  yield through
}

const throughKey = (key: string | null, operator: number): string => `${operator}${key === null ? "-" : `=${key}`}`

function splitKey(joined: string): [string | null, number] {
  const match = /^(\d+)(-|=)/.exec(joined)
  const key = match?.[2] === "=" ? joined.slice(match[0].length) : null
  return [key, Number(match?.[1])]
}

/** JSON leaves out what is undefined; a sealed event names it. */
function revive(event: SealedEvent): SealedEvent {
  return { ...event, key: event.key, causationid: event.causationid, trace: event.trace }
}

function parse(data: Uint8Array, subject: string): Record {
  const text = Buffer.from(data).toString()
  try {
    return Record.parse(JSON.parse(text))
  } catch (cause) {
    throw new MurmurError(`Cannot read the window log "${subject}": it holds a record that murmur did not write`, {
      code: "WINDOW_LOG",
      cause,
    })
  }
}
