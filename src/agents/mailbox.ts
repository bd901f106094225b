/** Work that waits in a mailbox. */
export interface MailboxItem {
  /** Items of one key run one after the other; without a key they run side by side. */
  readonly key: string | undefined
}

/** One key that has work. A session without work is no object, only a name. */
interface Lane<Item> {
  readonly key: string
  readonly waiting: Item[]
  /** Index of the first waiting item; shifting an array is not free. */
  head: number
}

const COMPACT_AT = 64

/**
 * The mailbox of one agent on one node: serial per key, at most `concurrency` keys at a time, first come first served
 * among keys. It is bounded by whoever fills it (the consumer's unacked messages).
 *
 * `run` never rejects. While an item waits for its next attempt it keeps its key, but gives its place to another key
 * with `pause`.
 */
export class Mailbox<Item extends MailboxItem> {
  readonly #lanes = new Map<string, Lane<Item>>()
  readonly #ready: Lane<Item>[] = []
  readonly #unkeyed: Item[] = []
  #running = 0
  #closed = false

  constructor(
    private readonly concurrency: number,
    private readonly run: (item: Item) => Promise<void>,
  ) {}

  /** How many items run at this moment. */
  get running(): number {
    return this.#running
  }

  /** Takes an item in and starts it as soon as its key and the concurrency allow. */
  push(item: Item): void {
    if (item.key === undefined) {
      this.#unkeyed.push(item)
    } else {
      const lane = this.#lanes.get(item.key)
      if (lane !== undefined) {
        lane.waiting.push(item)
        return
      }
      const fresh = { key: item.key, waiting: [item], head: 0 }
      this.#lanes.set(item.key, fresh)
      this.#ready.push(fresh)
    }
    this.#startNext()
  }

  /** Takes out what has not begun and fits. */
  withdraw(fits: (item: Item) => boolean, forget: (item: Item) => void): void {
    for (const lane of this.#lanes.values()) {
      const waiting = lane.waiting.splice(lane.head)
      for (const item of waiting) {
        if (fits(item)) forget(item)
        else lane.waiting.push(item)
      }
    }
    for (const item of this.#unkeyed.splice(0)) {
      if (fits(item)) forget(item)
      else this.#unkeyed.push(item)
    }
  }

  /** Waits without holding one of the `concurrency` places; the key stays busy. */
  async pause(wait: Promise<unknown>): Promise<void> {
    this.#running -= 1
    this.#startNext()
    await wait
    this.#running += 1
  }

  /** Starts nothing more. What runs goes on. */
  close(): void {
    this.#closed = true
  }

  #startNext(): void {
    while (this.#running < this.concurrency && !this.#closed) {
      const lane = this.#ready.shift()
      if (lane !== undefined) {
        this.#startLane(lane)
        continue
      }
      const item = this.#unkeyed.shift()
      if (item === undefined) return
      this.#running += 1
      void this.run(item).then(() => this.#finished())
    }
  }

  #startLane(lane: Lane<Item>): void {
    const item = lane.waiting[lane.head]
    if (item === undefined) {
      this.#lanes.delete(lane.key)
      return
    }
    lane.head += 1
    if (lane.head >= COMPACT_AT) {
      lane.waiting.splice(0, lane.head)
      lane.head = 0
    }
    this.#running += 1
    void this.run(item).then(() => this.#laneFinished(lane))
  }

  #laneFinished(lane: Lane<Item>): void {
    if (lane.head < lane.waiting.length) this.#ready.push(lane)
    else this.#lanes.delete(lane.key)
    this.#finished()
  }

  #finished(): void {
    this.#running -= 1
    this.#startNext()
  }
}
