import { createHash } from "node:crypto"

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
}

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
  /** Of those, which were given up and not committed, and by which message they came. */
  readonly #givenUp = new Map<string, number>()

  constructor(private readonly keepMs: number) {}

  /** Sequence of the newest committed event that came in stream order. */
  get through(): number {
    return this.#through
  }

  /** How many ids are remembered. */
  get size(): number {
    return this.#recent.size
  }

  /** Whether it is committed. */
  has({ id, seq, storedAtMs }: CauseOf): boolean {
    const hash = shortHash(id)
    if (this.#givenUp.has(hash)) return false
    const inOrder = seq > 0 && seq <= this.#through && storedAtMs <= this.#throughAtMs
    return inOrder || this.#recent.has(hash)
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
    const hash = shortHash(id)
    this.#givenUp.delete(hash)
    this.#recent.delete(hash) // so that the map stays sorted by time
    this.#recent.set(hash, atMs)
    for (const [oldest, at] of this.#recent) {
      if (at >= atMs - this.keepMs) break
      this.#recent.delete(oldest)
      this.#givenUp.delete(oldest)
    }
  }

  toJSON(): { through: number; throughAtMs?: number; recent: [string, number][]; givenUp?: [string, number][] } {
    const known = Number.isFinite(this.#throughAtMs) ? { throughAtMs: this.#throughAtMs } : {}
    const givenUp = this.#givenUp.size === 0 ? {} : { givenUp: [...this.#givenUp] }
    return { through: this.#through, ...known, recent: [...this.#recent], ...givenUp }
  }

  restore(stored: StoredCauses): void {
    this.#through = stored.through
    this.#throughAtMs = stored.throughAtMs ?? Number.POSITIVE_INFINITY
    this.#recent.clear()
    for (const [hash, at] of stored.recent) this.#recent.set(hash, at)
    this.#givenUp.clear()
    for (const [hash, broughtBy] of stored.givenUp ?? []) this.#givenUp.set(hash, broughtBy)
  }
}

function shortHash(id: string): string {
  return createHash("sha256").update(id).digest("base64url").slice(0, 11)
}
