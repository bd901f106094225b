import type { World } from "../world/world.js"
import type { SimRecord, SimStream } from "./stream.js"
import { matches } from "./subject.js"

/** What a consumer hands its messages to: one node's side of it. */
export interface Puller {
  readonly name: string
  /** Whether a pull of it waits on the server. */
  readonly pulling: boolean
  /** Whether its next pull will arrive. */
  readonly heard: boolean
  /** A message, by way of the network. */
  hand(message: HandedOut): void
  /** Another puller is pinned now, by way of the network. */
  unpinned(pin: number): void
  /** Who is pinned has changed, or what nobody owns may lie there: it looks soon. */
  lookSoon(): void
}

/** A message as it is handed out. */
export interface HandedOut {
  readonly record: SimRecord
  /** Under which pin; another one is another ownership. */
  readonly pin: number
  /** The consumer's number of this delivery: from 1 after each reset, without a hole. */
  readonly number: number
}

export interface SimConsumerOptions {
  readonly stream: string
  /** Of the subjects as they are stored. */
  readonly filters: readonly string[]
  readonly ackPendingMax?: number
  readonly ackWaitMs?: number
}

/** Ownership moves so long after the last pull of its owner. */
const PRIORITY_TIMEOUT_MS = 3_000

/**
 * A durable consumer that is pinned to one puller at a time. Hands messages out in stream order; what is not acked within
 * the ack wait comes again, out of order; a reset takes delivery back to the ack floor.
 */
export class SimConsumer {
  readonly #pullers = new Set<Puller>()
  /** By sequence: when it was acked. */
  readonly #acked = new Map<number, number>()
  /** Handed out and not acked, by sequence: when it comes again. */
  readonly #pending = new Map<number, number>()
  readonly #again: number[] = []
  readonly #fit: boolean[] = []
  #next = 1
  #floor = 0
  #number = 0
  #pinned: { readonly puller: Puller; readonly pin: number } | undefined
  #pins = 0

  constructor(
    private readonly world: World,
    readonly stream: SimStream,
    readonly name: string,
    private readonly options: SimConsumerOptions,
  ) {}

  /** How many messages are handed out and not acked. */
  get pending(): number {
    return this.#pending.size
  }

  /** How many messages wait to be handed out for the first time since the last reset. */
  get waiting(): number {
    let count = this.#again.length
    for (let seq = this.#next; seq <= this.stream.lastSeq; seq++) if (this.#wants(seq)) count += 1
    return count
  }

  /** All that it wants up to there is acked. */
  get floor(): number {
    for (let seq = this.#floor + 1; seq <= this.stream.lastSeq && !this.#wants(seq); seq++) {
      if (this.#acked.has(seq)) this.#floor = seq
    }
    return this.#floor
  }

  join(puller: Puller): void {
    this.#pullers.add(puller)
    this.pump()
  }

  leave(puller: Puller): void {
    this.#pullers.delete(puller)
  }

  /** A puller asks for messages (again), or is not heard any more. */
  heard(puller: Puller): void {
    if (puller.heard) this.pump()
    else if (this.#pinned?.puller === puller) this.#expectSilence(puller)
  }

  ack(seq: number): void {
    if (!this.#pending.delete(seq)) return // from before a reset: it comes again
    this.#acked.set(seq, this.world.now)
    this.pump()
  }

  working(seq: number): void {
    if (this.#pending.has(seq)) this.#expire(seq)
  }

  /** Delivery begins again at the ack floor. @returns the floor */
  reset(): number {
    const { floor } = this
    this.#pending.clear()
    this.#again.length = 0
    this.#number = 0
    this.#next = floor + 1
    for (const seq of this.#acked.keys()) if (seq > floor) this.#acked.delete(seq)
    this.world.after(0, () => this.pump())
    return floor
  }

  /** The owner gives it back. */
  unpin(puller: Puller): void {
    if (this.#pinned?.puller === puller) this.#free()
  }

  /** The server was killed: no pin is left, and the newest acks are forgotten. */
  restart(forgetsMs: number): void {
    for (const [seq, at] of this.#acked) {
      if (at < this.world.now - forgetsMs) continue
      this.#acked.delete(seq)
      this.#pending.set(seq, 0)
      this.#expire(seq)
    }
    this.#floor = 0
    this.#pin(undefined)
    this.#number = 0
  }

  /** The pin that stands, if one does. */
  get pin(): number | undefined {
    return this.#pinned?.pin
  }

  /** Hands out what can be handed out. */
  pump(): void {
    if (this.#pinned === undefined) this.#pin(this.#choose())
    const { puller, pin } = this.#pinned ?? {}
    if (puller === undefined || pin === undefined) return
    while (puller.pulling) {
      const record = this.#take()
      if (record === undefined) return
      this.#expire(record.seq)
      puller.hand({ record, pin, number: ++this.#number })
    }
  }

  #pin(pinned: { readonly puller: Puller; readonly pin: number } | undefined): void {
    if (pinned === this.#pinned) return
    this.#pinned = pinned
    for (const puller of this.#pullers) puller.lookSoon()
  }

  /** The first message decides who is pinned: without one nobody is. */
  #choose(): { puller: Puller; pin: number } | undefined {
    const able = [...this.#pullers].filter(({ pulling }) => pulling)
    if (able.length === 0 || !this.#canHandOut()) return undefined
    const puller = this.world.random.pick(able)
    this.world.note(this.name, () => `is pinned to ${puller.name}`)
    return { puller, pin: ++this.#pins }
  }

  #canHandOut(): boolean {
    return this.#again.length > 0 || (this.#hasRoom() && this.#peek() !== undefined)
  }

  #hasRoom(): boolean {
    return this.#pending.size < (this.options.ackPendingMax ?? 1_000)
  }

  #peek(): SimRecord | undefined {
    while (this.#next <= this.stream.lastSeq && !this.#wants(this.#next)) this.#next += 1
    return this.stream.at(this.#next)
  }

  #wants(seq: number): boolean {
    const record = this.stream.at(seq)
    return record !== undefined && !this.#acked.has(seq) && this.#fits(record)
  }

  /** Whether a message fits the filters. Asked again and again, so it is remembered. */
  #fits({ seq, subject }: SimRecord): boolean {
    this.#fit[seq] ??= this.options.filters.some((each) => matches(each, subject))
    return this.#fit[seq]
  }

  #take(): SimRecord | undefined {
    const again = this.#again.shift()
    if (again !== undefined) return this.stream.at(again)
    if (!this.#hasRoom()) return undefined
    const record = this.#peek()
    if (record !== undefined) this.#next = record.seq + 1
    return record
  }

  #expire(seq: number): void {
    const at = this.world.now + (this.options.ackWaitMs ?? 30_000)
    this.#pending.set(seq, at)
    this.world.at(at, () => {
      if (this.#pending.get(seq) !== at || this.#again.includes(seq)) return
      this.world.note(this.name, () => `${seq} was not acked in time`)
      this.#again.push(seq)
      this.pump()
    })
  }

  #expectSilence(puller: Puller): void {
    const pin = this.#pinned?.pin
    // its last pull was up to a second ago
    const silentMs = PRIORITY_TIMEOUT_MS - this.world.random.between(0, 1_000)
    this.world.after(silentMs, () => {
      if (this.#pinned?.pin === pin && !puller.pulling) this.#free()
    })
  }

  #free(): void {
    if (this.#pinned === undefined) return
    const { puller, pin } = this.#pinned
    this.world.note(this.name, () => `is pinned to ${puller.name} no more`)
    this.#pin(undefined)
    puller.unpinned(pin)
    this.pump()
  }
}
