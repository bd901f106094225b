import type { PartitionHandler } from "../../../src/bus/partition.js"
import type { HandedOut, Puller, SimConsumer } from "./consumer.js"
import { SimDelivery } from "./delivery.js"
import type { Link } from "./link.js"

/** A pull that the server holds lives so long. */
const PULL_EXPIRES_MS = 1_000
const RETRY_MS = [100, 800] as const
/** A node that does not own a partition looks about so often whether anybody does. */
const LOOK_MS = [750, 1_250] as const

interface Tenure {
  readonly pin: number
  readonly ended: AbortController
  readonly buffer: SimDelivery[]
  mode: "taking" | "owned" | "over"
  /** The number of the next delivery; `undefined` until the first one after the reset. */
  next: number | undefined
}

/**
 * One node's side of a consumer, with the contract of `Partition`: the node is told when it owns it, gets the messages in
 * stream order from the ack floor on and without a gap, and is told when that is over.
 */
export class SimLane implements Puller {
  readonly name: string
  #tenure: Tenure | undefined
  #started = false
  #releasable = false
  #holding = false
  #backingOff = false
  #silentSince: number | undefined
  #lastPin: number | undefined
  #looking = false
  /** Something has changed since it began to look. */
  #lookAgain = false

  constructor(
    private readonly link: Link,
    private readonly consumer: SimConsumer,
    private readonly handler: PartitionHandler,
  ) {
    this.name = link.process.name
    link.onChange(() => this.#heardChanged())
    link.onBreak(() => this.#lose())
    link.onReconnect(() => this.#join())
  }

  get owned(): boolean {
    return this.#tenure?.mode === "owned"
  }

  get pulling(): boolean {
    if (!this.#wanted || this.#backingOff || !this.link.connected || !this.link.process.alive) return false
    if (this.link.heard) return true
    return this.#silentSince !== undefined && this.#now - this.#silentSince < PULL_EXPIRES_MS
  }

  get heard(): boolean {
    return this.#wanted && !this.#backingOff && this.link.heard
  }

  get #wanted(): boolean {
    return this.#started && !(this.#holding && this.#tenure === undefined)
  }

  start(): void {
    if (this.#started) return
    this.#started = true
    this.#holding = false
    this.#releasable = false
    this.#join()
  }

  hold(): void {
    this.#holding = true
    if (!this.owned) this.#lose()
    this.link.say(() => this.consumer.heard(this))
  }

  resume(): void {
    this.#holding = false
    const pin = this.#tenure?.pin
    this.#lose()
    if (pin === undefined) this.#join()
    else this.#begin(pin)
  }

  async stop(): Promise<void> {
    if (this.owned) this.#releasable = true
    this.#started = false
    this.#lose()
    this.link.say(() => {
      this.consumer.leave(this)
      this.consumer.heard(this)
    })
  }

  async release(): Promise<void> {
    if (!this.#releasable) return
    this.#releasable = false
    await this.link.ask(() => this.consumer.unpin(this)).catch(() => {})
  }

  /** Gives it back and asks for it again: what was delivered and not acked comes once more. */
  restart(): void {
    this.#backOff()
  }

  /** From the server. */
  hand(message: HandedOut): void {
    this.link.down(() => this.#receive(message))
  }

  /** From the server. */
  unpinned(pin: number): void {
    this.link.down(() => {
      if (this.#tenure?.pin === pin) this.#lose()
    })
  }

  #join(): void {
    if (!this.#started) return
    this.link.say(() => this.consumer.join(this))
    this.lookSoon()
  }

  get #now(): number {
    return this.link.process.world.now
  }

  #note(what: () => string): void {
    this.link.process.world.note(this.name, () => `${this.consumer.name}: ${what()}`)
  }

  #receive(message: HandedOut): void {
    if (!this.#started || this.#backingOff) return
    const tenure = this.#tenure
    if (this.#holding) {
      if (tenure?.pin !== message.pin) this.#lose()
      return // unacked, it comes to the next owner
    }
    if (tenure?.pin === message.pin) {
      if (this.#inOrder(tenure, message)) return
      this.#note(() => "a delivery is missing")
    }
    this.#lose()
    this.#begin(message.pin) // the message itself comes again, after the reset
  }

  /** @returns false when a message before it is missing */
  #inOrder(tenure: Tenure, { record, number }: HandedOut): boolean {
    const delivery = new SimDelivery(this.link, this.consumer, record)
    if (number === 1) {
      tenure.next = 1
      tenure.buffer.length = 0
    }
    if (tenure.next === undefined) return true // from before the reset
    if (number !== tenure.next) return false
    tenure.next += 1
    if (tenure.mode === "owned") this.#deliver(delivery)
    else tenure.buffer.push(delivery)
    return true
  }

  #begin(pin: number): void {
    const tenure: Tenure = { pin, ended: new AbortController(), buffer: [], mode: "taking", next: undefined }
    this.#tenure = tenure
    this.#lastPin = pin
    this.#take(tenure).catch(() => {
      if (this.#tenure === tenure) this.#backOff()
    })
  }

  async #take(tenure: Tenure): Promise<void> {
    const floor = await this.link.ask(() => this.consumer.reset())
    if (tenure.mode === "over") return
    this.#note(() => `owned, from ${floor} on`)
    await this.handler.onOwned(floor, tenure.ended.signal)
    if (tenure.ended.signal.aborted) return
    tenure.mode = "owned"
    for (const delivery of tenure.buffer.splice(0)) this.#deliver(delivery)
  }

  #deliver(delivery: SimDelivery): void {
    this.#note(() => `delivery of ${delivery.seq} ${delivery.subject}`)
    this.handler.onDelivery(delivery)
  }

  /** Taking over failed: the consumption ends, and begins again a little later. */
  #backOff(): void {
    this.#lose()
    this.#backingOff = true
    const { process } = this.link
    process.clock.after(process.world.random.between(...RETRY_MS), () => {
      this.#backingOff = false
      this.link.say(() => {
        this.consumer.unpin(this)
        this.consumer.heard(this)
      })
    })
  }

  #lose(): void {
    const tenure = this.#tenure
    this.#tenure = undefined
    if (tenure === undefined) return
    tenure.mode = "over"
    tenure.buffer.length = 0
    tenure.ended.abort()
    this.#note(() => "lost")
    if (this.#holding) this.link.say(() => this.consumer.heard(this))
    this.handler.onLost()
    this.lookSoon()
  }

  #heardChanged(): void {
    this.#silentSince = this.link.heard ? undefined : (this.#silentSince ?? this.#now)
    this.consumer.heard(this)
  }

  /**
   * Looks who owns the partition, if this node does not. The real one looks again and again; here it looks when something
   * has changed, since there is nothing to be seen otherwise.
   */
  lookSoon(): void {
    this.#lookAgain = this.#looking
    if (this.#looking || !this.#started || this.#tenure !== undefined) return
    this.#looking = true
    const { process } = this.link
    process.clock.after(process.world.random.between(...LOOK_MS), () => void this.#look())
  }

  async #look(): Promise<void> {
    const seen = await this.link.ask(() => ({ pin: this.consumer.pin, pending: this.consumer.pending })).catch(() => {})
    this.#looking = false
    if (seen === undefined || this.#lookAgain) this.lookSoon()
    if (seen === undefined || !this.#started || this.#tenure !== undefined) return
    const elsewhere = seen.pin !== undefined && seen.pin !== this.#lastPin
    this.handler.onPassive?.(elsewhere)
    if (!elsewhere && seen.pending > 0) await this.link.ask(() => this.consumer.reset()).catch(() => this.lookSoon())
  }
}
