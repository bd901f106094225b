import type { KV, Kvm } from "@nats-io/kv"
import { ensureError, isMurmurError, MurmurError } from "../errors.js"
import { throughElection } from "./ask.js"
import { entriesOf, entryOf, watchBucket } from "./bucket-watch.js"
import { notDeployed } from "./consumers.js"
import type { Link } from "./link.js"
import { stored } from "./read-direct.js"
import { JS_API } from "./rights.js"
import { apiCode, streamInfo } from "./streams.js"

/** One JSON value in a bucket. */
export interface BucketEntry {
  readonly key: string
  readonly value: unknown
  readonly revision: number
  /** When it was written, by the server's clock. */
  readonly at: Date
}

/** What a watch yields: each entry, then `synced` once, then changes. A deleted key has the value `undefined`. */
export type BucketChange = BucketEntry | { readonly synced: true }

/** How a bucket is made. One that exists stays as it is. */
export interface BucketOptions {
  /** Entries vanish this long after they were written, in milliseconds. */
  readonly ttlMs?: number
  /** In how many copies. Default 1; the mesh's own are kept in as many as its events. */
  readonly replicas?: number
  /** Of a bucket that forgets: entries may be given a time to live of their own, and the oldest go when it is full. */
  readonly forgets?: { readonly bytesMax: number }
}

/** What NATS takes for a key. With a wildcard another key would be read. */
const KEY = /^(?!\.)[-/=.\w]+(?<!\.)$/
const TWICE = { harmlessTwice: true }
/** The server writes down that an entry has vanished, and forgets that after so long: it is the least that it takes. */
const MARKER_MS = 1_000

/** JSON values by key, shared by the mesh. Keys are made of letters, digits and `-/_=.`. */
export class Bucket {
  private constructor(
    readonly name: string,
    private readonly kv: KV,
    private readonly link: Link,
  ) {}

  /**
   * Opens a bucket, and creates it when it is not there and this client may.
   *
   * @throws MurmurError `BUCKET_OPEN`, `NOT_DEPLOYED`
   */
  static async open(link: Link, name: string, options: BucketOptions = {}): Promise<Bucket> {
    const { Kvm } = await import("@nats-io/kv")
    const { ttlMs, replicas = 1, forgets } = options
    try {
      if (link.rights.restricted) return await Bucket.#deployed(link, name, new Kvm(link.client))
      const kv = await new Kvm(link.client).create(name, {
        history: 1,
        replicas,
        ...(ttlMs !== undefined && { ttl: ttlMs }),
        ...(forgets !== undefined && { max_bytes: forgets.bytesMax, markerTTL: MARKER_MS }),
      })
      const bucket = new Bucket(name, kv, link)
      if (forgets !== undefined) await bucket.#discardOld()
      return bucket
    } catch (cause) {
      if (isMurmurError(cause)) throw cause
      throw new MurmurError(`Cannot open bucket "${name}": ${ensureError(cause).message}`, {
        code: "BUCKET_OPEN",
        cause,
      })
    }
  }

  /** Opens a bucket that is there. */
  static async find(link: Link, name: string): Promise<Bucket | undefined> {
    if ((await streamInfo(link.manager, bucketStream(name))) === undefined) return undefined
    const { Kvm } = await import("@nats-io/kv")
    return new Bucket(name, await new Kvm(link.client).open(name), link)
  }

  static async #deployed(link: Link, name: string, manager: Kvm): Promise<Bucket> {
    if ((await streamInfo(link.manager, bucketStream(name))) === undefined) throw notDeployed(`bucket "${name}"`)
    return new Bucket(name, await manager.open(name), link)
  }

  /**
   * What stands under a key, as the bucket's leader knows it: another server of a cluster may answer faster, and be behind.
   *
   * @throws MurmurError `BUCKET_KEY`
   */
  async get(key: string): Promise<BucketEntry | undefined> {
    if (!KEY.test(key)) {
      throw new MurmurError(
        `Cannot read ${JSON.stringify(key)} in bucket "${this.name}": a key has letters, digits and -/_=., no dot at its ends`,
        { code: "BUCKET_KEY" },
      )
    }
    const { streams } = this.link.manager
    const query = { last_by_subj: `$KV.${this.name}.${key}` }
    const found = await throughElection(() => streams.getMessage(bucketStream(this.name), query), TWICE)
    if (found === null) return undefined
    const entry = entryOf(stored(found), `$KV.${this.name}.`)
    return entry.value === undefined ? undefined : entry
  }

  /** @returns the new revision */
  put(key: string, value: unknown): Promise<number> {
    return throughElection(() => this.putNow(key, value), TWICE)
  }

  /** As `put`, but fails at once when nobody takes it: for what is written anew all the time. */
  putNow(key: string, value: unknown): Promise<number> {
    return this.kv.put(key, JSON.stringify(value))
  }

  /**
   * Writes an entry that vanishes by itself; only in a bucket that forgets.
   *
   * @param keepMs rounded up to seconds
   */
  async putFor(key: string, value: unknown, keepMs: number): Promise<void> {
    const ttl = `${Math.max(1, Math.ceil(keepMs / 1_000))}s`
    const subject = `$KV.${this.name}.${key}`
    const { apiPrefix } = this.link.rights
    const prefix = apiPrefix === JS_API ? "" : `${apiPrefix}.` // as the client does it for `put`
    await throughElection(() => this.link.client.publish(prefix + subject, JSON.stringify(value), { ttl }), TWICE)
  }

  /** What time it is at the server that keeps the bucket, whose clock the entries' `at` is from. */
  async serverTime(): Promise<Date> {
    const { streamInfo } = await this.kv.status()
    return new Date(streamInfo.ts ?? 0)
  }

  /** Writes a key that is not there. @throws MurmurError `BUCKET_CONFLICT` when it is */
  create(key: string, value: unknown): Promise<number> {
    return this.#fenced(key, () => this.kv.create(key, JSON.stringify(value)))
  }

  /** Writes a key whose revision is known. @throws MurmurError `BUCKET_CONFLICT` when somebody wrote it since */
  update(key: string, value: unknown, revision: number): Promise<number> {
    return this.#fenced(key, () => this.kv.update(key, JSON.stringify(value), revision))
  }

  /** Removes a key; fine when it is not there. */
  async delete(key: string): Promise<void> {
    await throughElection(() => this.kv.delete(key), TWICE)
  }

  /** What the bucket holds now: all, or the keys that fit a filter with NATS wildcards (`mine.>`). */
  async *entries(filter = ">"): AsyncGenerator<BucketEntry> {
    const { signal } = new AbortController()
    for await (const entry of entriesOf(this.link, { bucket: this.name, filter, signal })) {
      if (entry.value !== undefined) yield entry
    }
  }

  /** What the bucket holds, then `synced`, then every change until aborted. Goes on after a lost connection or server. */
  watch(options: { signal: AbortSignal; filter?: string | undefined }): AsyncGenerator<BucketChange> {
    const { signal, filter = ">" } = options
    return watchBucket(this.link, { bucket: this.name, filter, signal })
  }

  /** The client makes buckets that refuse what is new when they are full. */
  async #discardOld(): Promise<void> {
    const { config } = (await this.kv.status()).streamInfo
    if (config.discard !== "old") await this.link.manager.streams.update(config.name, { discard: "old" })
  }

  async #fenced(key: string, write: () => Promise<number>): Promise<number> {
    try {
      return await throughElection(write)
    } catch (cause) {
      if (apiCode(cause) !== 10071 && apiCode(cause) !== 10164) throw cause
      throw new MurmurError(`Cannot write "${key}" in bucket "${this.name}": somebody else wrote it first`, {
        code: "BUCKET_CONFLICT",
        cause,
      })
    }
  }
}

/** The stream that keeps a bucket. */
export function bucketStream(name: string): string {
  return `KV_${name}`
}
