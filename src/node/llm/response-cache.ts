import { createHash } from "node:crypto"
import { setTimeout as delay } from "node:timers/promises"
import type { Bucket } from "../../bus/bucket.js"
import type { BusCore } from "../../bus/bus-core.js"
import { ensureError, MurmurError } from "../../errors.js"
import type { ResponseCache } from "../../gateways/broker/ports.js"
import { type Log, silentLog } from "../../telemetry/ports.js"
import { MESH_BUCKETS } from "../buckets.js"

/** Options of {@link KvResponseCache}. */
export interface KvResponseCacheOptions {
  /** How much is kept by the whole mesh, in bytes; the oldest answers go first. Counts when the bucket is made. Default 64 MiB. */
  readonly bytesMax?: number
  /** How long a call waits for the cache, in milliseconds, before it asks the provider. Default 500. */
  readonly waitMsMax?: number
  readonly log?: Log
}

const BYTES_MAX = MESH_BUCKETS["llm-cache"].forgets.bytesMax
const WAIT_MS_MAX = 500
/** Of an answer as JSON. A larger one is not kept. */
const ANSWER_BYTES_MAX = 512 * 1024
/** After the bucket could not be opened, or the cache was too slow, calls go without it for so long. */
const REST_MS = 10_000
/** As NATS keeps keys. */
const PLAIN_KEY = /^[\w-]{1,128}$/

/**
 * Answers that any node of the mesh may give again, in a bucket that is made with the first of them. Each vanishes when its
 * time is up, by the server's clock.
 *
 * It only ever saves: a cache that cannot be opened, is slow or holds rubbish makes no call fail, and holds none up for
 * longer than `waitMsMax`.
 */
export class KvResponseCache implements ResponseCache {
  #bucket: Promise<Bucket> | undefined
  #restsUntil = Number.NEGATIVE_INFINITY
  readonly #bytesMax: number
  readonly #waitMsMax: number
  readonly #log: Log

  /** @throws MurmurError `LLM_OPTION` */
  constructor(
    private readonly bus: BusCore,
    options: KvResponseCacheOptions = {},
  ) {
    checkKnown(options)
    this.#bytesMax = checkCount("bytesMax", options.bytesMax ?? BYTES_MAX)
    this.#waitMsMax = checkCount("waitMsMax", options.waitMsMax ?? WAIT_MS_MAX)
    this.#log = options.log ?? silentLog
  }

  /** The answer; `undefined` when there is none, or the cache does not work at this moment. */
  get(key: string): Promise<unknown> {
    return this.#attempt("read", async (bucket) => (await bucket.get(keyOf(key)))?.value ?? undefined)
  }

  async put(key: string, answer: unknown, keepMs: number): Promise<void> {
    if (!(keepMs > 0) || !this.#canKeep(answer)) return
    await this.#attempt("write", (bucket) => bucket.putFor(keyOf(key), answer, keepMs))
  }

  #canKeep(answer: unknown): boolean {
    if (answer === undefined || answer === null) return false
    try {
      const bytes = Buffer.byteLength(JSON.stringify(answer))
      if (bytes <= ANSWER_BYTES_MAX) return true
      this.#log.debug({ bytes, bytesMax: ANSWER_BYTES_MAX }, "an answer is too large for the cache")
    } catch (error) {
      this.#log.debug({ error }, "an answer that is no JSON is not for the cache")
    }
    return false
  }

  async #attempt<T>(action: "read" | "write", work: (bucket: Bucket) => Promise<T>): Promise<T | undefined> {
    if (!this.bus.connected || performance.now() < this.#restsUntil) return undefined
    const over = new AbortController()
    const late = delay(this.#waitMsMax, undefined, { signal: over.signal }).then(() => {
      throw new MurmurError(`The cache did not answer within ${this.#waitMsMax} ms`, { code: "LLM_CACHE_SLOW" })
    })
    const working = this.bus.link.state.ask(async () => work(await this.#open()))
    working.catch(() => {}) // it may fail after nobody waits for it any longer
    late.catch(() => {})
    try {
      return await Promise.race([working, late])
    } catch (thrown) {
      this.#restsUntil = performance.now() + REST_MS
      this.#log.warn({ error: ensureError(thrown), action }, "the cache of answers does not work; calls go without it")
      return undefined
    } finally {
      over.abort()
    }
  }

  #open(): Promise<Bucket> {
    if (this.#bucket === undefined) {
      const opening = this.bus.bucket("llm-cache", { forgets: { bytesMax: this.#bytesMax } })
      this.#bucket = opening
      opening.catch(() => {
        this.#bucket = undefined
      })
    }
    return this.#bucket
  }
}

const keyOf = (key: string): string =>
  PLAIN_KEY.test(key) ? key : createHash("sha256").update(key).digest("base64url")

const KNOWN = ["bytesMax", "waitMsMax", "log"]

function checkKnown(options: object): void {
  const unknown = Object.keys(options).find((name) => !KNOWN.includes(name))
  if (unknown === undefined) return
  throw new MurmurError(`Cannot make a cache of answers: unknown option "${unknown}" (known: ${KNOWN.join(", ")})`, {
    code: "LLM_OPTION",
  })
}

function checkCount(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 1) return value
  throw new MurmurError(`Cannot make a cache of answers: "${name}" must be a whole number >= 1, is ${value}`, {
    code: "LLM_OPTION",
  })
}
