import type { World } from "../world/world.js"
import type { SimRecord, SimStream } from "./stream.js"
import { matches } from "./subject.js"

/** Who has asked a shared consumer for messages. */
export interface Asker {
  readonly name: string
  /** Whether its requests still wait on the server, and it has room. */
  readonly asking: boolean
  /** One of its requests has run out. */
  expired(): void
  /** A message, by way of the network. @param count how often it was handed out, this time included */
  hand(record: SimRecord, count: number): void
}

export interface SharedConsumerOptions {
  readonly filters: readonly string[]
  readonly ackWaitMs?: number
}

/**
 * A durable consumer that several nodes pull side by side: each message goes to one of them. What is not acked within the
 * ack wait, or handed back, comes again, to anybody.
 */
export class SimSharedConsumer {
  /** Requests, oldest first: a place for one message each. */
  #requests: Asker[] = []
  readonly #acked = new Map<number, number>()
  /** Handed out and not acked: when it comes again. */
  readonly #pending = new Map<number, number>()
  readonly #counts = new Map<number, number>()
  readonly #again: number[] = []
  #next = 1

  constructor(
    private readonly world: World,
    readonly stream: SimStream,
    readonly name: string,
    private readonly options: SharedConsumerOptions,
  ) {}

  get pending(): number {
    return this.#pending.size
  }

  get waiting(): number {
    this.#skip()
    return this.#again.length + (this.#next <= this.stream.lastSeq ? 1 : 0)
  }

  /** Somebody has room for so many more. */
  request(asker: Asker, count: number): void {
    for (let i = 0; i < count; i++) this.#requests.push(asker)
    this.pump()
  }

  /** Its requests are gone: its connection, or its process. */
  forget(asker: Asker): void {
    this.#requests = this.#requests.filter((each) => each !== asker)
  }

  ack(seq: number): void {
    if (this.#pending.delete(seq)) this.#acked.set(seq, this.world.now)
  }

  working(seq: number): void {
    if (this.#pending.has(seq)) this.#expireIn(seq, this.#ackWaitMs)
  }

  /** Handed back, to be given to anybody after a while. */
  giveBack(seq: number, delayMs: number): void {
    if (this.#pending.has(seq)) this.#expireIn(seq, delayMs)
  }

  /** The server was killed: the newest acks are forgotten, and so is how often those were handed out. */
  restart(forgetsMs: number): void {
    this.#requests = []
    for (const [seq, at] of this.#acked) {
      if (at < this.world.now - forgetsMs) continue
      this.#acked.delete(seq)
      this.#counts.delete(seq)
      this.#expireIn(seq, this.#ackWaitMs)
    }
  }

  pump(): void {
    while (this.#requests.length > 0) {
      const record = this.#peek()
      if (record === undefined) return
      const asker = this.#takeRequest()
      if (asker === undefined) return
      this.#take(record.seq)
      const count = (this.#counts.get(record.seq) ?? 0) + 1
      this.#counts.set(record.seq, count)
      this.#expireIn(record.seq, this.#ackWaitMs)
      asker.hand(record, count)
    }
  }

  get #ackWaitMs(): number {
    return this.options.ackWaitMs ?? 30_000
  }

  /** One whose node is not there any more is skipped, as one that has run out. */
  #takeRequest(): Asker | undefined {
    for (let asker = this.#requests.shift(); asker !== undefined; asker = this.#requests.shift()) {
      if (asker.asking) return asker
      asker.expired()
    }
    return undefined
  }

  #peek(): SimRecord | undefined {
    const [again] = this.#again
    if (again !== undefined) return this.stream.at(again)
    this.#skip()
    return this.stream.at(this.#next)
  }

  #take(seq: number): void {
    if (this.#again[0] === seq) this.#again.shift()
    else this.#next = seq + 1
  }

  #skip(): void {
    for (; this.#next <= this.stream.lastSeq; this.#next++) {
      const subject = this.stream.at(this.#next)?.subject
      if (subject !== undefined && this.options.filters.some((each) => matches(each, subject))) return
    }
  }

  #expireIn(seq: number, ms: number): void {
    const at = this.world.now + ms
    this.#pending.set(seq, at)
    this.world.at(at, () => {
      if (this.#pending.get(seq) !== at || this.#again.includes(seq)) return
      this.world.note(this.name, () => `${seq} comes again`)
      this.#again.push(seq)
      this.pump()
    })
  }
}
