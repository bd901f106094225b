import { hash } from "node:crypto"

/** An event as a session tells whether it has committed it. */
export interface CauseOf {
  readonly id: string
  /** Sequence of an event that came in stream order; 0 for one that did not: only its id can tell. */
  readonly seq: number
  /** When the server stored it, in milliseconds since the epoch. */
  readonly storedAtMs: number
}

/** As a snapshot holds it. */
export interface StoredCauses {
  readonly through: number
  /** When the event of that sequence was stored. */
  readonly throughAtMs?: number | undefined
  readonly recent: readonly (readonly [string, number])[]
  readonly givenUp?: readonly (readonly [string, number])[] | undefined
  readonly archives?: readonly (readonly [number, number])[] | undefined
}

/** Causes that go into a record of their own: kept, all of them, as long as the newest. */
export interface ArchivedCauses {
  /** Hashes of {@link HASH_LENGTH} characters, one behind the other. */
  readonly hashes: string
  readonly newestAtMs: number
}

const HASH_LENGTH = 11
/** So many ids stand in a snapshot, and as many in each record of older ones. */
export const ARCHIVE_SIZE = 2_000

/**
 * Which events a session has committed, or given up. Order is kept per key, so everything at or below the sequence of the newest
 * committed event is done; ids beside it catch an event that was stored twice. Ids are kept as long as the stream keeps
 * events, as 64-bit hashes.
 *
 * A stream that was made anew, or lost its end, gives old sequences to new events. Those were stored later than the event
 * that has the sequence here, and only their ids count.
 */
export class Causes {
  #through = 0
  #throughAtMs = Number.POSITIVE_INFINITY
  readonly #recent = new Map<string, number>()
  /** Older ones, which records of their own hold. */
  readonly #archived = new Map<string, number>()
  /** Sequences of these records, and the time of the newest cause in each. */
  #archives: (readonly [number, number])[] = []
  /** Of those, which were given up and not committed, and by which message they came. */
  readonly #givenUp = new Map<string, number>()

  constructor(private readonly keepMs: number) {}

  /** Sequence of the newest committed event that came in stream order. */
  get through(): number {
    return this.#through
  }

  /** How many ids are remembered. */
  get size(): number {
    return this.#recent.size + this.#archived.size
  }

  /** Those that the next record of older ones is to hold, when there are enough. */
  get archivable(): ArchivedCauses | undefined {
    if (this.#recent.size < 2 * ARCHIVE_SIZE) return undefined
    const oldest = [...this.#recent].slice(0, ARCHIVE_SIZE)
    return { hashes: oldest.map(([hash]) => hash).join(""), newestAtMs: oldest.at(-1)?.[1] ?? 0 }
  }

  /** The records of older ones. */
  get archives(): readonly (readonly [number, number])[] {
    return this.#archives
  }

  /** Whether it is committed. */
  has({ id, seq, storedAtMs }: CauseOf): boolean {
    const short = shortHash(id)
    if (this.#givenUp.has(short)) return false
    const inOrder = seq > 0 && seq <= this.#through && storedAtMs <= this.#throughAtMs
    return inOrder || this.#recent.has(short) || this.#archived.has(short)
  }

  /** Sequence of the message that brought an event which was given up; `undefined` when it was not. */
  givenUpBy(id: string): number | undefined {
    return this.#givenUp.size === 0 ? undefined : this.#givenUp.get(shortHash(id))
  }

  /** @param atMs when it was given up */
  giveUp(cause: CauseOf, broughtBy: number, atMs: number): void {
    this.add(cause, atMs)
    this.#givenUp.set(shortHash(cause.id), broughtBy)
  }

  /** @param atMs when it was committed */
  add({ id, seq, storedAtMs }: CauseOf, atMs: number): void {
    if (seq > 0 && (seq > this.#through || storedAtMs > this.#throughAtMs)) {
      this.#through = seq
      this.#throughAtMs = storedAtMs
    }
    const short = shortHash(id)
    this.#givenUp.delete(short)
    this.#archived.delete(short)
    this.#recent.delete(short) // so that the map stays sorted by time
    this.#recent.set(short, atMs)
    this.#forgetBefore(atMs - this.keepMs)
  }

  /** A record of the log holds these from now on. */
  archive({ hashes, newestAtMs }: ArchivedCauses, seq: number): void {
    for (const hash of hashesIn(hashes)) this.#recent.delete(hash)
    this.fill({ hashes, newestAtMs })
    this.#archives.push([seq, newestAtMs])
  }

  /** What a record of older ones holds, read back. */
  fill({ hashes, newestAtMs }: ArchivedCauses): void {
    for (const hash of hashesIn(hashes)) if (!this.#recent.has(hash)) this.#archived.set(hash, newestAtMs)
  }

  /** A record of older ones stands at another place now. */
  moveArchive(from: number, to: number): void {
    this.#archives = this.#archives.map(([seq, newestAt]) => [seq === from ? to : seq, newestAt])
  }

  #forgetBefore(atMs: number): void {
    for (const ids of [this.#archived, this.#recent]) {
      for (const [oldest, at] of ids) {
        if (at >= atMs) break
        ids.delete(oldest)
        this.#givenUp.delete(oldest)
      }
    }
    if (this.#archives.some(([, newestAt]) => newestAt < atMs)) {
      this.#archives = this.#archives.filter(([, newestAt]) => newestAt >= atMs)
    }
  }

  toJSON(): {
    through: number
    throughAtMs?: number
    recent: [string, number][]
    givenUp?: [string, number][]
    archives?: [number, number][]
  } {
    const archives = this.#archives.map(([seq, newestAt]): [number, number] => [seq, newestAt])
    return {
      through: this.#through,
      ...(Number.isFinite(this.#throughAtMs) && { throughAtMs: this.#throughAtMs }),
      recent: [...this.#recent],
      ...(this.#givenUp.size > 0 && { givenUp: [...this.#givenUp] }),
      ...(archives.length > 0 && { archives }),
    }
  }

  restore(stored: StoredCauses): void {
    this.#through = stored.through
    this.#throughAtMs = stored.throughAtMs ?? Number.POSITIVE_INFINITY
    this.#recent.clear()
    this.#archived.clear()
    this.#archives = [...(stored.archives ?? [])]
    for (const [hash, at] of stored.recent) this.#recent.set(hash, at)
    this.#givenUp.clear()
    for (const [hash, broughtBy] of stored.givenUp ?? []) this.#givenUp.set(hash, broughtBy)
  }
}

function shortHash(id: string): string {
  return hash("sha256", id, "base64url").slice(0, HASH_LENGTH)
}

function* hashesIn(text: string): Generator<string> {
  for (let at = 0; at < text.length; at += HASH_LENGTH) yield text.slice(at, at + HASH_LENGTH)
}
