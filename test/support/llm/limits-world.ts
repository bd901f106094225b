import type { Clock } from "../../../src/agents/clock.js"
import type { BucketEntry } from "../../../src/bus/bucket.js"
import { MurmurError } from "../../../src/errors.js"
import type { RateLimits } from "../../../src/gateways/broker/ports.js"
import { type RecordStore, SharedAccount } from "../../../src/node/llm/rate-limits-account.js"
import { ServerTime } from "../../../src/node/llm/rate-limits-time.js"
import { silentLog } from "../../../src/telemetry/ports.js"
import type { Arrival } from "./arrivals.js"

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** What is simulated. */
export interface WorldOptions {
  readonly seed: number
  readonly nodes: number
  readonly limits: RateLimits
  readonly windowMs: number
  /** How many requests each node has under way at most. */
  readonly atATime: number
  /** How many of its messages take up to nearly a second, 0 to 1. */
  readonly slow: number
}

interface Timer {
  readonly at: number
  readonly order: number
  readonly fire: () => void
}

const GRACE_MS = 1_000
const KEY = "fake.key"

/**
 * Nodes, a server that keeps one record, and a provider, in virtual time: messages are slow at random, some are lost or
 * answered too late, clocks are wrong and go wrong, nodes die.
 */
export class LimitsWorld {
  readonly arrivals: Arrival[] = []
  readonly random: () => number
  /** True time. */
  #now = 0
  readonly #timers: Timer[] = []
  #orders = 0
  #entry: BucketEntry | undefined
  #revision = 0
  readonly #accounts: { readonly account: SharedAccount; readonly life: { dead: boolean } }[] = []

  constructor(private readonly options: WorldOptions) {
    this.random = seeded(options.seed)
    for (let n = 0; n < options.nodes; n++) this.#addNode(`node-${n}`)
  }

  /** Lets so much time pass. */
  async run(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      await new Promise(setImmediate) // whatever follows from the last event, until nothing does
      const next = this.#nextTimer()
      if (next === undefined || next.at > end) break
      this.#timers.splice(this.#timers.indexOf(next), 1)
      this.#now = next.at
      next.fire()
    }
    this.#now = end
  }

  /** One of the nodes is gone in this moment, and another starts. */
  replaceOne(): void {
    const place = Math.floor(this.random() * this.#accounts.length)
    const [gone] = this.#accounts.splice(place, 1)
    if (gone !== undefined) gone.life.dead = true
    this.#addNode(`node-${this.#orders}`)
  }

  #nextTimer(): Timer | undefined {
    let next = this.#timers[0]
    for (const timer of this.#timers) {
      if (next === undefined || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer
    }
    return next
  }

  #after(ms: number, fire: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), order: this.#orders++, fire }
    this.#timers.push(timer)
    return () => {
      const place = this.#timers.indexOf(timer)
      if (place >= 0) this.#timers.splice(place, 1)
    }
  }

  #addNode(name: string): void {
    const life = { dead: false }
    const clock = this.#clock(life)
    const time = new ServerTime(clock)
    const { random } = this
    const { windowMs, limits, atATime } = this.options
    const store = this.#store(life)
    const account = new SharedAccount({ store, time, clock, random, log: silentLog, windowMs, graceMs: GRACE_MS })
    this.#accounts.push({ account, life })
    time.answer(this.#serverMs() - this.#latency())
    for (let n = 0; n < atATime; n++) void this.#send(name, account, clock, limits, life)
  }

  /** Wrong by up to an hour, and fast or slow by up to a tenth of a thousandth. */
  #clock(life: { readonly dead: boolean }): Clock {
    const skewMs = (this.random() - 0.5) * 7_200_000
    const rate = 1 + (this.random() - 0.5) * 2e-4
    const read = (): number => skewMs + this.#now * rate
    const after = (ms: number, work: () => void): (() => void) => this.#after(ms / rate, () => !life.dead && work())
    const delay = (ms: number, signal?: AbortSignal): Promise<void> => {
      return new Promise((resolve) => {
        if (signal?.aborted === true) return resolve()
        const done = (): void => {
          cancel()
          signal?.removeEventListener("abort", done)
          resolve()
        }
        const cancel = after(ms, done)
        signal?.addEventListener("abort", done)
      })
    }
    return { now: read, steady: read, after, delay }
  }

  #serverMs(): number {
    return 1_800_000_000_000 + this.#now
  }

  /** Mostly a millisecond or two. */
  #latency(): number {
    return this.random() < this.options.slow ? this.random() * 900 : 0.1 + this.random() * 3
  }

  #store(life: { readonly dead: boolean }): RecordStore {
    const call = <T>(work: () => T): Promise<T> => {
      return new Promise((resolve, reject) => {
        this.#after(this.#latency(), () => {
          try {
            const result = work()
            const lost = this.random() < 0.02
            const settle = (): void => (lost ? reject(new Error("timeout")) : resolve(result))
            this.#after(this.#latency(), () => !life.dead && settle())
          } catch (error) {
            this.#after(this.#latency(), () => !life.dead && reject(error))
          }
        })
      })
    }
    return {
      key: KEY,
      get: () => call(() => this.#entry),
      create: (value) => call(() => this.#write(value, 0)),
      update: (value, revision) => call(() => this.#write(value, revision)),
    }
  }

  #write(value: unknown, expected: number): number {
    const found = this.#entry?.revision ?? 0
    if (found !== expected) throw new MurmurError("Somebody else was first", { code: "BUCKET_CONFLICT" })
    this.#revision += 1 + Math.floor(this.random() * 3) // other accounts are in the bucket too
    const at = new Date(Math.floor(this.#serverMs()))
    const entry = { key: KEY, value: JSON.parse(JSON.stringify(value)), revision: this.#revision, at }
    this.#entry = entry
    for (const { account, life } of this.#accounts) {
      if (this.random() < 0.1) continue
      this.#after(this.#latency(), () => !life.dead && account.seen(entry))
    }
    return entry.revision
  }

  async #send(
    from: string,
    account: SharedAccount,
    clock: Clock,
    limits: RateLimits,
    life: { readonly dead: boolean },
  ): Promise<void> {
    for (;;) {
      const never = new AbortController().signal
      const tokens = 10 + Math.floor(this.random() * 90)
      const permit = await account.take({ provider: "fake", account: "key", tokens }, limits, never)
      if (life.dead) return
      const used = Math.floor(tokens * this.random())
      this.#after(this.random() * 490, () => this.arrivals.push({ at: this.#now, from, tokens: used }))
      await clock.delay(this.random() * 1_000)
      permit.used(used)
      if (this.random() < 0.2) await clock.delay(this.random() * 3_000)
    }
  }
}
