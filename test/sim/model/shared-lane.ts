import type { PartitionHandler } from "../../../src/bus/partition.js"
import type { Room } from "../../../src/bus/room.js"
import { SimDelivery } from "./delivery.js"
import type { Link } from "./link.js"
import type { Asker, SimSharedConsumer } from "./shared-consumer.js"
import type { SimRecord } from "./stream.js"

/** A request that the server holds lives so long. */
const PULL_EXPIRES_MS = 1_000

export interface SharedLaneOptions {
  readonly room: Room
  readonly batchMax: number
  readonly ackWaitMs: number
}

/**
 * One node's side of a shared consumer, with the contract of `SharedLane`: it asks for as much as it has room for, and is
 * told that what has not begun is no longer its own when it stops or was away for half the ack wait.
 */
export class SimSharedLane implements Asker {
  readonly name: string
  #started = false
  #asked = 0
  #silentSince: number | undefined

  constructor(
    private readonly link: Link,
    private readonly consumer: SimSharedConsumer,
    private readonly handler: PartitionHandler,
    private readonly options: SharedLaneOptions,
  ) {
    this.name = link.process.name
    options.room.onMore(() => this.#ask())
    link.onChange(() => {
      this.#silentSince = link.heard ? undefined : (this.#silentSince ?? this.#now)
      if (link.heard) link.process.enter(() => this.#ask()) // its next pull comes by itself
    })
    link.onBreak(() => this.#away())
    link.onReconnect(() => this.#ask())
  }

  get owned(): boolean {
    return this.#started && this.link.connected
  }

  get asking(): boolean {
    if (!this.#started || !this.link.connected || !this.link.process.alive) return false
    if (this.link.heard) return this.options.room.free() > 0 // one that is not made again runs out soon
    return this.#silentSince !== undefined && this.#now - this.#silentSince < PULL_EXPIRES_MS
  }

  start(): void {
    this.#started = true
    this.#ask()
  }

  async stop(): Promise<void> {
    if (!this.#started) return
    this.#started = false
    this.#asked = 0
    this.link.say(() => this.consumer.forget(this))
    this.handler.onLost()
  }

  async release(): Promise<void> {}

  expired(): void {
    this.#asked = Math.max(0, this.#asked - 1)
    this.link.process.enter(() => this.#ask())
  }

  /** From the server. */
  hand(record: SimRecord, count: number): void {
    this.link.down(() => {
      this.#asked = Math.max(0, this.#asked - 1)
      const delivery = new SimDelivery(this.link, this.consumer, record, count)
      if (!this.#started) delivery.giveBack()
      else this.handler.onDelivery(delivery)
      this.#ask()
    })
  }

  get #now(): number {
    return this.link.process.world.now
  }

  #ask(): void {
    if (!this.#started || !this.link.connected) return
    const want = Math.min(this.options.room.free() - this.#asked, this.options.batchMax)
    if (want <= 0) return
    this.#asked += want
    this.link.say(() => this.consumer.request(this, want))
  }

  /** The connection broke: what was asked for is forgotten, and after a while others may have what has not begun. */
  #away(): void {
    this.#asked = 0
    this.consumer.forget(this)
    this.link.process.clock.after(this.options.ackWaitMs / 2, () => {
      if (this.#started && !this.link.connected) this.handler.onLost()
    })
  }
}
