/** A message as the ledger tells it from others. */
export interface Entry {
  readonly seq: number
  /** When the server stored it. */
  readonly time: Date
}

/**
 * What a node knows about the messages of one partition: which it has been given and not finished, and which are done.
 * The server may hand a message out again (a reset, a crash that forgot acks); the ledger tells a repeat from news.
 *
 * While a partition is owned its messages come in stream order and without a gap. So of all up to the newest that came,
 * those are done that are neither unfinished nor were given back: two small sets and one number are enough, however
 * long one of them takes.
 */
export class Ledger<Item> {
  readonly #unfinished = new Map<number, Item>()
  /** Given back before they were begun: they come again, to this node or to another. */
  readonly #givenBack = new Set<number>()
  #delivered = 0
  #onEmpty: (() => void)[] = []
  #newest: Entry | undefined

  /** How many messages are unfinished. */
  get size(): number {
    return this.#unfinished.size
  }

  /** The unfinished messages. */
  items(): IterableIterator<Item> {
    return this.#unfinished.values()
  }

  /** The item of a message that came before and is not finished. */
  get(seq: number): Item | undefined {
    return this.#unfinished.get(seq)
  }

  /** Whether a message that comes now was finished before (or needed nothing): all it needs is its ack. */
  isDone(message: Entry): boolean {
    const { seq } = message
    if (seq > this.#delivered || this.#unfinished.has(seq) || this.#givenBack.has(seq)) return false
    return !this.#isAfterLoss(message)
  }

  /** Takes a message in. */
  add(message: Entry, item: Item): void {
    this.#unfinished.set(message.seq, item)
    this.#givenBack.delete(message.seq)
    this.skip(message)
  }

  /** A message came and needs nothing. */
  skip(message: Entry): void {
    if (message.seq <= this.#delivered) return
    this.#delivered = message.seq
    this.#newest = message
  }

  /** A message is finished. */
  done(seq: number): void {
    if (this.#unfinished.delete(seq)) this.#left()
  }

  /** Gives back a message that was not begun: it will be delivered again. */
  forget(seq: number): void {
    if (!this.#unfinished.delete(seq)) return
    this.#givenBack.add(seq)
    this.#left()
  }

  /** Fulfilled when nothing is unfinished. */
  empty(): Promise<void> {
    if (this.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#onEmpty.push(resolve))
  }

  /** Ownership begins: all at or below `floor` is acked, and delivery restarts behind it. */
  begin(floor: number): void {
    for (const seq of this.#givenBack) if (seq <= floor) this.#givenBack.delete(seq)
    if (floor <= this.#delivered) return
    this.#delivered = floor
    this.#newest = undefined
  }

  #left(): void {
    if (this.size === 0) for (const resolve of this.#onEmpty.splice(0)) resolve()
  }

  /**
   * A server that lost the end of its stream (a power cut without `sync_interval: always`, a restored backup) gives
   * the sequences of what is gone to other messages. Those were stored later than the newest that came here.
   */
  #isAfterLoss({ seq, time }: Entry): boolean {
    if (this.#newest === undefined || time.getTime() <= this.#newest.time.getTime()) return false
    this.#delivered = seq - 1
    this.#newest = undefined
    return true
  }
}
