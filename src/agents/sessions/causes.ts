import { createHash } from "node:crypto"

/**
 * Which events a session has committed. Order is kept per key, so everything at or below the sequence of the newest
 * committed event is done; ids beside it catch an event that was stored twice. Ids are kept as long as the stream keeps
 * events, as 64-bit hashes.
 */
export class Causes {
  #through = 0
  readonly #recent = new Map<string, number>()

  constructor(private readonly keepMs: number) {}

  /** Sequence of the newest committed event that came in stream order. */
  get through(): number {
    return this.#through
  }

  /** How many ids are remembered. */
  get size(): number {
    return this.#recent.size
  }

  /** @param seq the event's sequence; infinity for one that did not come in stream order, which only its id can tell */
  has(id: string, seq: number): boolean {
    return seq <= this.#through || this.#recent.has(shortHash(id))
  }

  add(id: string, seq: number, atMs: number): void {
    if (seq > this.#through) this.#through = seq
    const hash = shortHash(id)
    this.#recent.delete(hash) // so that the map stays sorted by time
    this.#recent.set(hash, atMs)
    for (const [oldest, at] of this.#recent) {
      if (at >= atMs - this.keepMs) break
      this.#recent.delete(oldest)
    }
  }

  toJSON(): { through: number; recent: [string, number][] } {
    return { through: this.#through, recent: [...this.#recent] }
  }

  restore(stored: { readonly through: number; readonly recent: readonly (readonly [string, number])[] }): void {
    this.#through = stored.through
    this.#recent.clear()
    for (const [hash, at] of stored.recent) this.#recent.set(hash, at)
  }
}

function shortHash(id: string): string {
  return createHash("sha256").update(id).digest("base64url").slice(0, 11)
}
