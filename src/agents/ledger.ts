/**
 * What a node knows about the messages of one partition: which it has been given and not finished, and which are done.
 * The server may hand a message out again (a reset, a crash that forgot acks); the ledger tells a repeat from news.
 *
 * Messages arrive in stream order while the partition is owned, so everything below the oldest unfinished one is done:
 * one number and a small set above it are enough.
 */
export class Ledger<Item> {
  /** Unfinished, oldest first. */
  readonly #pending = new Map<number, Item>()
  /** All at or below are done or somebody else's. */
  #doneThrough = 0
  readonly #doneAbove = new Set<number>()
  #delivered = 0

  /** How many messages are unfinished. */
  get size(): number {
    return this.#pending.size
  }

  /** The unfinished messages, oldest first. */
  items(): IterableIterator<Item> {
    return this.#pending.values()
  }

  get(seq: number): Item | undefined {
    return this.#pending.get(seq)
  }

  isDone(seq: number): boolean {
    return seq <= this.#doneThrough || this.#doneAbove.has(seq)
  }

  /** Takes a message in. */
  add(seq: number, item: Item): void {
    this.#pending.set(seq, item)
    if (seq > this.#delivered) this.#delivered = seq
  }

  /** A message was delivered and needs nothing. */
  skip(seq: number): void {
    if (seq > this.#delivered) this.#delivered = seq
    if (this.#pending.size === 0) this.#advance()
  }

  /** A message is finished. */
  done(seq: number): void {
    this.#pending.delete(seq)
    this.#doneAbove.add(seq)
    this.#advance()
  }

  /** Forgets a message that was not begun: it will be delivered again. */
  forget(seq: number): void {
    this.#pending.delete(seq)
    this.#delivered = Math.min(this.#delivered, seq - 1)
  }

  /** Ownership begins: all at or below `floor` is acked. */
  begin(floor: number): void {
    if (floor <= this.#doneThrough) return
    this.#doneThrough = floor
    this.#advance()
  }

  #advance(): void {
    const oldest = this.#pending.keys().next()
    const through = oldest.done === true ? this.#delivered : oldest.value - 1
    if (through > this.#doneThrough) this.#doneThrough = Math.min(through, Math.max(this.#delivered, this.#doneThrough))
    if (this.#doneAbove.size < 256 && this.#pending.size > 0) return // pruned now and then, not for every message
    for (const seq of this.#doneAbove) if (seq <= this.#doneThrough) this.#doneAbove.delete(seq)
  }
}
