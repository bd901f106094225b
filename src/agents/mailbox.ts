/** Work that waits in a mailbox. */
export interface MailboxItem {
  /** Items of one key run one after the other; without a key they run side by side. */
  readonly key: string | undefined
}

/** What waits for one key, or one item without a key. A session without work is no object, only a name. */
interface Lane<Item> {
  readonly key: string | undefined
  readonly waiting: Item[]
  /** Index of the first waiting item; shifting an array is not free. */
  head: number
}

const COMPACT_AT = 64

/**
 * The mailbox of one agent on one node: serial per key, at most `concurrency` items at a time, first come first served
 * among keys: one that has run goes to the end of the line, so a busy key holds up no other. It is bounded by whoever
 * fills it (the consumer's unacked messages).
 *
 * `run` never rejects. While an item waits for its next attempt it keeps its key, but gives its place to another key
 * with `pause`.
 */
export class Mailbox<Item extends MailboxItem> {
  readonly #lanes = new Map<string, Lane<Item>>()
  /** Lanes that may start, oldest first. */
  #ready: Lane<Item>[] = []
  /** Items whose pause is over, and that wait for a place. They come before what has not begun. */
  readonly #resuming: (() => void)[] = []
  #running = 0
  /** How many may run. */
  #places: number
  #closed = false
  #onRoom = (): void => {}
  #onIdle: (() => void)[] = []

  constructor(
    concurrency: number,
    private readonly run: (item: Item) => Promise<void>,
  ) {
    this.#places = concurrency
  }

  /** How many items run at this moment. Those that pause are not among them. */
  get running(): number {
    return this.#running
  }

  /** How many more items of other keys would begin at once. */
  get room(): number {
    if (this.#closed) return 0
    return Math.max(0, this.#places - this.#running - this.#resuming.length - this.#ready.length)
  }

  /** Has somebody told when there may be more room than before. */
  onRoom(listener: () => void): void {
    this.#onRoom = listener
  }

  /** Takes an item in and starts it as soon as its key and the concurrency allow. */
  push(item: Item): void {
    const { key } = item
    const lane = key === undefined ? undefined : this.#lanes.get(key)
    if (lane !== undefined) {
      lane.waiting.push(item)
      return
    }
    const fresh = { key, waiting: [item], head: 0 }
    if (key !== undefined) this.#lanes.set(key, fresh)
    this.#ready.push(fresh)
    this.#startNext()
  }

  /** Takes out what has not begun and fits. */
  withdraw(fits: (item: Item) => boolean, forget: (item: Item) => void): void {
    for (const lane of this.#lanes.values()) withdrawFrom(lane, fits, forget)
    for (const lane of this.#ready) if (lane.key === undefined) withdrawFrom(lane, fits, forget)
    this.#ready = this.#ready.filter((lane) => {
      if (lane.head < lane.waiting.length) return true
      if (lane.key !== undefined) this.#lanes.delete(lane.key)
      return false
    })
    this.#onRoom()
  }

  /** Waits without holding one of the `concurrency` places, then for a place; the key stays busy. */
  async pause(wait: Promise<unknown>): Promise<void> {
    this.#leave()
    await wait
    if (this.#running >= this.#places && !this.#closed) {
      await new Promise<void>((resume) => this.#resuming.push(resume)) // whoever resumes it has taken its place
    } else {
      this.#running += 1
    }
  }

  /** Changes how many may run from now on. With 0 nothing starts and nothing that pauses goes on; what runs does. */
  limit(concurrency: number): void {
    this.#places = concurrency
    this.#startNext()
    this.#onRoom()
  }

  /** Starts nothing more. What runs goes on. */
  close(): void {
    this.#closed = true
    this.#resume()
  }

  /** Fulfilled when nothing runs. */
  idle(): Promise<void> {
    if (this.#running === 0) return Promise.resolve()
    return new Promise((resolve) => this.#onIdle.push(resolve))
  }

  #startNext(): void {
    this.#resume()
    while (this.#running < this.#places && !this.#closed) {
      const lane = this.#ready.shift()
      if (lane === undefined) return
      this.#start(lane)
    }
  }

  #resume(): void {
    while (this.#running < this.#places || this.#closed) {
      const resume = this.#resuming.shift()
      if (resume === undefined) return
      this.#running += 1
      resume()
    }
  }

  #start(lane: Lane<Item>): void {
    const item = lane.waiting[lane.head]
    if (item === undefined) return
    lane.head += 1
    if (lane.head >= COMPACT_AT) {
      lane.waiting.splice(0, lane.head)
      lane.head = 0
    }
    this.#running += 1
    void this.run(item).then(() => this.#finished(lane))
  }

  #finished(lane: Lane<Item>): void {
    if (lane.head < lane.waiting.length) this.#ready.push(lane)
    else if (lane.key !== undefined) this.#lanes.delete(lane.key)
    this.#leave()
  }

  /** A place is free. */
  #leave(): void {
    this.#running -= 1
    this.#startNext()
    this.#onRoom()
    if (this.#running > 0) return
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }
}

function withdrawFrom<Item>(lane: Lane<Item>, fits: (item: Item) => boolean, forget: (item: Item) => void): void {
  for (const item of lane.waiting.splice(lane.head)) {
    if (fits(item)) forget(item)
    else lane.waiting.push(item)
  }
}
