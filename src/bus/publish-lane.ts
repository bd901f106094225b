/** Messages in flight to a stream. A server refuses what it cannot buffer (10,000 by default), and so breaks the order. */
const INFLIGHT_MAX = 4_096
const COMPACT_AT = 1_024

/** What goes to one stream, in the order in which it came: a window of messages in flight, and what waits behind it. */
export class PublishLane<Item> {
  /** Sent and not answered yet. */
  inflight = 0
  /** The stream takes nothing at the moment; it is tried again at this time. 0: it does. */
  heldUntil = 0
  #unsent: Item[] = []
  /** Index of the first unsent item; shifting an array is not free. */
  #head = 0

  /** Whether one more may be sent. */
  get open(): boolean {
    return this.heldUntil === 0 && this.inflight < INFLIGHT_MAX
  }

  /** Whether nothing waits to be sent. */
  get empty(): boolean {
    return this.#head === this.#unsent.length
  }

  push(item: Item): void {
    this.#unsent.push(item)
  }

  /** Takes the oldest out of what waits. */
  take(): Item | undefined {
    const item = this.#unsent[this.#head]
    if (item === undefined) return undefined
    this.#head += 1
    if (this.empty || this.#head >= COMPACT_AT) {
      this.#unsent.splice(0, this.#head)
      this.#head = 0
    }
    return item
  }

  /** Drops what need not be sent any more. */
  prune(wanted: (item: Item) => boolean): void {
    this.#unsent = this.#unsent.slice(this.#head).filter(wanted)
    this.#head = 0
  }
}

/** The stream of a subject, `<mesh>.<kind>`: each kind is stored by one stream. */
export function streamOf(subject: string): string {
  return subject.slice(0, subject.indexOf(".", subject.indexOf(".") + 1))
}
