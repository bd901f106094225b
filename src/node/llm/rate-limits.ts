import { type Clock, systemClock } from "../../agents/clock.js"
import type { Bucket } from "../../bus/bucket.js"
import type { BusCore } from "../../bus/bus-core.js"
import { ensureError, MurmurError } from "../../errors.js"
import type { Draw, Permit, RateLimiter, RateLimits } from "../../gateways/broker/ports.js"
import { type Log, silentLog } from "../../telemetry/ports.js"
import { openBucket } from "../buckets.js"
import { FREE, isUnlimited, type RecordStore, SharedAccount } from "./rate-limits-account.js"
import { recordKey } from "./rate-limits-record.js"
import { ServerTime } from "./rate-limits-time.js"

/** Options of {@link MeshRateLimiter.open}. */
export interface MeshRateLimiterOptions {
  /** Aborted when the node stops: calls that wait fail with its reason. */
  readonly signal: AbortSignal
  readonly log?: Log
  /** What a limit "per minute" is counted over, in milliseconds; the same on all nodes. Default 60_000. */
  readonly windowMs?: number
  /**
   * How long a request may be on its way from its permit to the provider, in milliseconds; it counts so much longer than the
   * window. A permit that comes late is not used. Default 2_000: the first request also loads its provider's library.
   */
  readonly graceMs?: number
  readonly clock?: Clock
  /** For jitter, 0 to 1. */
  readonly random?: () => number
}

const WINDOW_MS = 60_000
const GRACE_MS = 2_000
const HOLD_MS_MAX = 86_400_000
const RETRY_MS = 500

/**
 * Limits that all nodes of a mesh keep together: in any minute, wherever it begins, no more than the limit is sent, however
 * their clocks are set and whichever of them dies.
 *
 * One record for each provider and account holds what was granted in the last minute. A permit is a write to it, fenced by
 * its revision; what it granted counts from the time at which the server has stored it until a minute and the grace later.
 * While the bus is away nothing is sent that has a limit.
 *
 * After a provider said "later" one request goes first, on one node; the others follow when it is answered, or when it was
 * not refused for five seconds.
 */
export class MeshRateLimiter implements RateLimiter {
  readonly #accounts = new Map<string, SharedAccount>()
  readonly #keys = new Map<string, string>()
  readonly #time: ServerTime

  private constructor(
    private readonly bus: BusCore,
    private readonly bucket: Bucket,
    private readonly options: Required<MeshRateLimiterOptions>,
  ) {
    this.#time = new ServerTime(options.clock)
  }

  /**
   * Opens the limits of a mesh; what the other nodes have used so far is known when it returns.
   *
   * @throws MurmurError `BUCKET_OPEN`; `LLM_OPTION`
   */
  static async open(bus: BusCore, options: MeshRateLimiterOptions): Promise<MeshRateLimiter> {
    checkKnown(options)
    const { log = silentLog, clock = systemClock, random = Math.random, signal } = options
    const windowMs = checkMs("windowMs", options.windowMs ?? WINDOW_MS)
    const graceMs = checkMs("graceMs", options.graceMs ?? GRACE_MS)
    const bucket = await openBucket(bus, "llm-limits")
    const limiter = new MeshRateLimiter(bus, bucket, { signal, log, windowMs, graceMs, clock, random })
    signal.addEventListener("abort", () => limiter.#close(), { once: true })
    limiter.#time.answer((await bucket.serverTime()).getTime())
    await limiter.#follow()
    return limiter
  }

  take(draw: Draw, limits: RateLimits, signal: AbortSignal): Promise<Permit> {
    const key = this.#keyOf(draw.provider, draw.account)
    if (isUnlimited(limits)) {
      const account = this.#accounts.get(key)
      if (account === undefined || !account.gated) return Promise.resolve(FREE)
    }
    return this.#account(key).take(draw, limits, signal)
  }

  holdOff(provider: string, account: string, untilMs: number): void {
    const ms = Math.min(HOLD_MS_MAX, untilMs - this.options.clock.now())
    if (ms > 0) this.#account(this.#keyOf(provider, account)).holdOff(ms)
  }

  heldUntilMs(provider: string, account: string): number {
    const ms = this.#accounts.get(this.#keyOf(provider, account))?.heldMs ?? 0
    return ms > 0 ? this.options.clock.now() + ms : 0
  }

  #account(key: string): SharedAccount {
    let account = this.#accounts.get(key)
    if (account === undefined) {
      const { signal, ...ports } = this.options
      account = new SharedAccount({ ...ports, time: this.#time, store: this.#store(key) })
      this.#accounts.set(key, account)
      if (signal.aborted) account.close(signal.reason)
    }
    return account
  }

  #close(): void {
    for (const account of this.#accounts.values()) account.close(this.options.signal.reason)
  }

  /** Gives up when the connection breaks: the client would wait for an answer that cannot come. */
  #store(key: string): RecordStore {
    const { bucket } = this
    const { state } = this.bus.link
    return {
      key,
      get: () => state.ask(() => bucket.get(key)),
      create: (value) => state.ask(() => bucket.create(key, value)),
      update: (value, revision) => state.ask(() => bucket.update(key, value, revision)),
    }
  }

  #keyOf(provider: string, account: string): string {
    const name = `${provider}\n${account}`
    let key = this.#keys.get(name)
    if (key === undefined) {
      key = recordKey(provider, account)
      this.#keys.set(name, key)
    }
    return key
  }

  /** Sees what the other nodes write. @returns when it has seen what stands */
  #follow(): Promise<void> {
    return new Promise((synced) => void this.#watch(synced))
  }

  async #watch(synced: () => void): Promise<void> {
    const { signal, log, clock } = this.options
    while (!signal.aborted) {
      try {
        for await (const change of this.bucket.watch({ signal })) {
          if ("synced" in change) synced()
          else this.#account(change.key).seen(change)
        }
      } catch (error) {
        log.warn({ error: ensureError(error) }, "lost sight of the shared limits; trying again")
      }
      await clock.delay(RETRY_MS, signal) // without it a closed connection would spin
    }
    synced()
  }
}

const KNOWN = ["signal", "log", "windowMs", "graceMs", "clock", "random"]

function checkKnown(options: object): void {
  const unknown = Object.keys(options).find((name) => !KNOWN.includes(name))
  if (unknown === undefined) return
  throw new MurmurError(`Cannot open shared limits: unknown option "${unknown}" (known: ${KNOWN.join(", ")})`, {
    code: "LLM_OPTION",
  })
}

function checkMs(name: string, ms: number): number {
  if (Number.isInteger(ms) && ms >= 1) return ms
  throw new MurmurError(`Cannot open shared limits: "${name}" must be a whole number of milliseconds >= 1, is ${ms}`, {
    code: "LLM_OPTION",
  })
}
