import type { Clock } from "../../agents/clock.js"
import type { BucketEntry } from "../../bus/bucket.js"
import { ensureError, errorCode } from "../../errors.js"
import type { Draw, Permit, RateLimits } from "../../gateways/broker/ports.js"
import type { Log } from "../../telemetry/ports.js"
import { Ahead, Grace, type Grant, type Grants } from "./rate-limits-ahead.js"
import { amountOf, chooseGrants, type Granting } from "./rate-limits-granting.js"
import { Line, type Waiter } from "./rate-limits-line.js"
import { type Amount, type Plan, planFor } from "./rate-limits-plan.js"
import { changedRecord, type LimitRecord, NO_RECORD, readRecord } from "./rate-limits-record.js"
import type { ServerTime } from "./rate-limits-time.js"
import { Untold } from "./rate-limits-untold.js"

/** What an account's limits stand on. */
export interface AccountPorts {
  readonly store: RecordStore
  readonly time: ServerTime
  readonly clock: Clock
  /** For jitter, 0 to 1. */
  readonly random: () => number
  readonly log: Log
  readonly windowMs: number
  readonly graceMs: number
}

/** The account's record in the bucket. Each may throw; a write that lost against another throws `BUCKET_CONFLICT`. */
export interface RecordStore {
  readonly key: string
  get(): Promise<BucketEntry | undefined>
  create(value: unknown): Promise<number>
  update(value: unknown, revision: number): Promise<number>
}

/** A permit that was counted nowhere. */
export const FREE: Permit = { used: () => {} }

/** How long the watch may take to show our own write before it is read. */
const SHOWN_MS = 20
const NOTHING: Amount = { requests: 0, tokens: 0 }
const CONFLICT_MS_MAX = 50
const RETRY_MS = 100
const RETRY_MS_MAX = 2_000

/**
 * The limits of one provider and account, as one node keeps them. What all nodes have sent stands in one record; who wants
 * to send writes first that it will, and the write is refused when somebody else wrote since: no two nodes take the same
 * room. A node that dies leaves behind what it wrote, and what is not known to be unused counts.
 *
 * One loop does all the writing, one write at a time, and sleeps until there is room or something to say.
 */
export class SharedAccount {
  readonly #ports: AccountPorts
  readonly #line = new Line()
  readonly #grace: Grace
  readonly #ahead: Ahead
  readonly #untold: Untold
  #record: LimitRecord = NO_RECORD
  /** Whether the record was read, and nobody was found to have written it since. */
  #known = false
  /** Our newest write: until the record shows it, the server's time of it is not known. */
  #written = 0
  #conflicts = 0
  #failures = 0
  #running = false
  #sleeping: AbortController | undefined
  readonly #closing = new AbortController()

  constructor(ports: AccountPorts) {
    this.#ports = ports
    this.#grace = new Grace(ports.graceMs)
    this.#ahead = new Ahead(ports.windowMs)
    this.#untold = new Untold(ports.clock, ports.windowMs)
  }

  /** Somebody wrote the record, or it was read. */
  seen(entry: BucketEntry): void {
    this.#ports.time.message(entry.revision, entry.at.getTime())
    if (entry.revision <= this.#record.revision) return
    this.#record = entry.value === undefined ? NO_RECORD : readRecord(entry)
    this.#sleeping?.abort()
  }

  /** Whether the provider said "later", and nobody knows yet whether it answers again. */
  get gated(): boolean {
    return this.#untold.heldMs > 0 || this.#record.hold !== undefined
  }

  /** How much longer nobody asks, in milliseconds; 0 when one may. */
  get heldMs(): number {
    const { hold } = this.#record
    return Math.max(this.#untold.heldMs, hold === undefined ? 0 : hold.untilMs - this.#ports.time.now())
  }

  /** Nobody asks for so long. */
  holdOff(ms: number): void {
    if (!this.#untold.hold(ms)) return
    this.#giveBack(this.#ahead.takeBack())
    this.#start()
  }

  /** As `RateLimiter.take`. */
  take(draw: Draw, limits: RateLimits, signal: AbortSignal): Promise<Permit> {
    if (this.#closing.signal.aborted) return Promise.reject(this.#closing.signal.reason)
    const permit = this.#line.join(draw, limits, signal, () => this.#sleeping?.abort())
    if (this.#line.length === 1) this.#start()
    return permit
  }

  /** Nothing waits any more, or will. */
  close(reason: unknown): void {
    this.#closing.abort(reason)
    this.#failAll(reason)
    this.#sleeping?.abort()
  }

  #start(): void {
    this.#sleeping?.abort()
    if (this.#running || this.#closing.signal.aborted) return
    this.#running = true
    queueMicrotask(() => void this.#run()) // who settles a permit may have a pause to tell in the same breath
  }

  async #run(): Promise<void> {
    while (!this.#closing.signal.aborted && (this.#line.length > 0 || this.#untold.dueAt < Infinity)) {
      try {
        await this.#turn()
        this.#failures = 0
      } catch (thrown) {
        await this.#failed(ensureError(thrown))
      }
    }
    this.#running = false
  }

  /** Nothing is sent that cannot be counted: calls wait for the bus. */
  async #failed(error: Error): Promise<void> {
    const { clock, log, store } = this.#ports
    if (errorCode(error) === "BUS_CLOSED") return this.#failAll(error)
    if (this.#failures === 0) log.warn({ error, limits: store.key }, "cannot count against shared limits; calls wait")
    this.#known = false
    await clock.delay(Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** Math.min(this.#failures++, 10)), this.#closing.signal)
  }

  /** One hand-out, read, write or sleep. */
  async #turn(): Promise<void> {
    const { clock, time } = this.#ports
    if (this.#handOut()) return
    if (!this.#known) return this.#read()
    if (this.#record.revision < this.#written) {
      await this.#sleep(SHOWN_MS)
      if (this.#record.revision < this.#written) await this.#read()
      return
    }
    const nowMs = time.now()
    const planOf = (waiter: Waiter, granted: Amount): Plan => this.#plan(waiter, nowMs, granted)
    const granting = chooseGrants(this.#line, this.#ahead, planOf, clock.steady())
    if (granting.waiters.length > 0 || this.#untold.dueAt <= clock.steady()) await this.#write(granting, nowMs)
    else await this.#sleep(this.#idleMs(nowMs))
  }

  /** Gives who waits first what needs no write: what was reserved ahead, or what has no limits. */
  #handOut(): boolean {
    const { first } = this.#line
    if (first === undefined || this.heldMs > 0) return false
    this.#giveBack(this.#ahead.takeLapsed(this.#ports.clock.steady()))
    const free = isUnlimited(first.limits) && this.#known && this.#isOpen(first)
    const grant = free ? undefined : this.#ahead.take(first.draw.tokens)
    if (!free && grant === undefined) return false
    this.#line.leave(first)
    first.grant(grant === undefined ? FREE : this.#permit(grant, first))
    return true
  }

  #isOpen(waiter: Waiter): boolean {
    const plan = this.#plan(waiter, this.#ports.time.now())
    return plan.next === "send" && !plan.probe
  }

  async #read(): Promise<void> {
    const { clock, random } = this.#ports
    const jitterMs = random() * Math.min(CONFLICT_MS_MAX, 2 ** this.#conflicts)
    if (this.#conflicts > 0) await clock.delay(jitterMs, this.#closing.signal)
    const entry = await this.#ports.store.get()
    this.#known = true
    if (entry !== undefined) return this.seen(entry)
    this.#record = NO_RECORD
    this.#written = 0
  }

  #plan({ draw, limits }: Waiter, nowMs: number, granted: Amount = NOTHING): Plan {
    const heldMs = this.#untold.heldMs
    if (heldMs > 0) return { next: "wait", untilMs: nowMs + heldMs }
    const taken = { ...granted, tokens: granted.tokens + this.#untold.extraTokens }
    return planFor(draw, limits, { record: this.#record, taken, nowMs, windowMs: this.#ports.windowMs })
  }

  async #write(granting: Granting, nowMs: number): Promise<void> {
    const { store, clock, windowMs } = this.#ports
    const { ahead, probe } = granting
    if (ahead > 0) this.#giveBack(this.#ahead.takeBack())
    const { news, told } = this.#untold.tell()
    const granted = amountOf(granting)
    const change = {
      ...news,
      requests: granted.requests,
      tokens: Math.ceil(granted.tokens + news.extraTokens),
      graceMs: this.#grace.ms,
      probe,
    }
    const value = changedRecord(this.#record, change, nowMs, windowMs)
    const since = clock.steady()
    try {
      const { revision } = this.#record
      this.#written = await (revision === 0 ? store.create(value) : store.update(value, revision))
    } catch (error) {
      return this.#refused(error)
    }
    this.#conflicts = 0
    told()
    const inTime = this.#grace.answered(clock.steady() - since, change.graceMs)
    this.#grant(granting, { revision: this.#written, since, until: since + change.graceMs / 2 }, inTime)
  }

  #refused(error: unknown): void {
    this.#known = false
    if (errorCode(error) === "BUCKET_CONFLICT") {
      this.#conflicts++
      return
    }
    this.#untold.forgetRefunds()
    throw error
  }

  #grant(granting: Granting, written: Pick<Grant, "revision" | "since" | "until">, inTime: boolean): void {
    const { waiters, ahead, tokensAhead, probe } = granting
    const usable = inTime && this.heldMs === 0 // the provider may have said "later" while we wrote
    const reserved: Grant = { ...written, tokens: tokensAhead, probe: false }
    if (usable) this.#ahead.put(reserved, ahead)
    else this.#untold.unused({ grant: reserved, count: ahead })
    for (const waiter of waiters) {
      const grant: Grant = { ...written, tokens: waiter.draw.tokens, probe }
      if (usable && this.#line.leave(waiter)) waiter.grant(this.#permit(grant, waiter))
      else this.#untold.unused({ grant, count: 1 })
    }
  }

  #permit(grant: Grant, { limits }: Waiter): Permit {
    let settled = false
    const { clock } = this.#ports
    return {
      get lapsed() {
        return clock.steady() > grant.until
      },
      used: (tokens) => {
        if (settled) return
        settled = true
        if (grant.probe && tokens > 0) this.#untold.answers() // nothing used is nothing answered
        if (limits.tokensPerMinute !== undefined) this.#untold.used(grant, tokens)
        if (this.#untold.dueAt < Infinity) this.#start()
      },
    }
  }

  #giveBack(unused: Grants | undefined): void {
    if (unused !== undefined) this.#untold.unused(unused)
  }

  /** How long there is nothing to do, if nothing happens. */
  #idleMs(nowMs: number): number {
    const { first } = this.#line
    const plan = first === undefined ? undefined : this.#plan(first, nowMs)
    const roomMs = plan === undefined ? Infinity : plan.next === "wait" ? plan.untilMs - nowMs : 0
    return Math.max(1, Math.ceil(Math.min(roomMs, this.#untold.dueAt - this.#ports.clock.steady())))
  }

  async #sleep(ms: number): Promise<void> {
    const sleeping = new AbortController()
    this.#sleeping = sleeping
    await this.#ports.clock.delay(ms, sleeping.signal)
    this.#sleeping = undefined
  }

  #failAll(reason: unknown): void {
    this.#line.failAll(reason)
    this.#untold.clear()
  }
}

/** Whether there is nothing to count. */
export function isUnlimited({ requestsPerMinute, tokensPerMinute }: RateLimits): boolean {
  return requestsPerMinute === undefined && tokensPerMinute === undefined
}
