import { setTimeout as delay } from "node:timers/promises"
import { ensureError, MurmurError } from "../errors.js"
import { type Log, silentLog } from "../telemetry/ports.js"
import { combineRoutes } from "./combine.js"
import { type LocalRoute, mergeRoutes } from "./route.js"
import { parseRecord, type RouteBucket, type RouteRecord } from "./route-bucket.js"
import { RouteTable } from "./table.js"

/** Options of {@link LiveRoutes.open}. */
export interface LiveRoutesOptions {
  /** Ends the watch. */
  readonly signal: AbortSignal
  /** Called after each change that comes after `open`, and after a watch that was begun anew, with the table and its revision. */
  readonly onChange?: ((table: RouteTable, revision: number) => void) | undefined
  readonly log?: Log | undefined
  /** Longest wait before a watch that broke off is begun anew, in milliseconds. Default 5_000; it starts at a tenth. */
  readonly retryMsMax?: number | undefined
}

const OPTIONS = ["signal", "onChange", "log", "retryMsMax"]
const RETRY_MS_MAX = 5_000

type Records = ReadonlyMap<string, RouteRecord>

/**
 * The routing table of a node, kept in step with the mesh: the routes of its own agents' code, what other nodes
 * declare, and the routes that were added while running; without those that were switched off. For its own agents a
 * node trusts its code rather than what is written about them, since only the code has the predicates.
 */
export class LiveRoutes {
  #table = RouteTable.from([])
  #revision = 0
  #records: Records = new Map()
  #code: readonly LocalRoute[]
  #done: Promise<void> = Promise.resolve()
  readonly #bucket: RouteBucket
  readonly #options: LiveRoutesOptions
  readonly #log: Log

  private constructor(bucket: RouteBucket, code: Iterable<LocalRoute>, options: LiveRoutesOptions) {
    this.#bucket = bucket
    this.#code = mergeRoutes(code)
    this.#options = options
    this.#log = options.log ?? silentLog
  }

  /**
   * Reads the bucket and follows it until `signal` is aborted. Resolves when all that the bucket held is in the table.
   * A record that cannot be read is left out with a warning. A watch that breaks off later is begun anew.
   *
   * @throws MurmurError `ROUTE_WATCH` when the bucket cannot be read, `ROUTE_OPTION` for an unknown option
   */
  static async open(
    bucket: RouteBucket,
    codeRoutes: Iterable<LocalRoute>,
    options: LiveRoutesOptions,
  ): Promise<LiveRoutes> {
    checkOptions(options)
    const live = new LiveRoutes(bucket, codeRoutes, options)
    await new Promise<void>((synced, failed) => {
      live.#done = live.#follow(synced, failed)
    })
    return live
  }

  /** The table as of now. */
  get table(): RouteTable {
    return this.#table
  }

  /** Revision of the bucket up to which the table is. */
  get revision(): number {
    return this.#revision
  }

  /** Resolves when the watch has ended after an abort. Never rejects. */
  get done(): Promise<void> {
    return this.#done
  }

  /** Puts other code in the place of the node's own, as when an agent's file was edited. `onChange` is called. */
  replaceCode(codeRoutes: Iterable<LocalRoute>): void {
    this.#code = mergeRoutes(codeRoutes)
    this.#rebuild()
    this.#announce()
  }

  async #follow(synced: () => void, failed: (error: Error) => void): Promise<void> {
    const { signal, retryMsMax = RETRY_MS_MAX } = this.#options
    let opened = false
    let waitMs = retryMsMax / 10
    while (!signal.aborted) {
      const reason = await this.#watchOnce(() => {
        waitMs = retryMsMax / 10
        if (opened) this.#announce()
        opened = true
        synced()
      })
      if (signal.aborted) break
      if (!opened) return failed(watchError(reason))
      this.#log.warn({ reason: reason.message, waitMs }, "Lost sight of the routes; the table stays as it is")
      await delay(waitMs, undefined, { signal }).catch(() => {})
      waitMs = Math.min(waitMs * 2, retryMsMax)
    }
    failed(watchError(new Error("it was aborted")))
  }

  /** One watch, from the bucket's content to where it breaks off. @returns why */
  async #watchOnce(onSynced: () => void): Promise<Error> {
    // Collected aside: what was deleted while nobody watched must not survive.
    const fresh = new Map<string, RouteRecord>()
    let synced = false
    let revision = 0
    try {
      for await (const change of this.#bucket.watch({ signal: this.#options.signal })) {
        if ("synced" in change) {
          if (synced) continue
          synced = true
          this.#records = fresh
          this.#revision = Math.max(revision, this.#revision)
          this.#rebuild()
          onSynced()
          continue
        }
        this.#apply(fresh, change.key, change.value)
        revision = Math.max(revision, change.revision)
        if (!synced) continue
        this.#revision = revision
        this.#rebuild()
        this.#announce()
      }
      return new Error("the watch ended")
    } catch (error) {
      return ensureError(error)
    }
  }

  #apply(records: Map<string, RouteRecord>, key: string, value: unknown): void {
    records.delete(key)
    if (value === undefined) return
    try {
      records.set(key, parseRecord(key, value))
    } catch (error) {
      this.#log.warn({ key, reason: ensureError(error).message }, "Left out a route record that cannot be read")
    }
  }

  #rebuild(): void {
    this.#table = this.#table.replace(combineRoutes(this.#code, this.#records.values()))
  }

  #announce(): void {
    try {
      this.#options.onChange?.(this.#table, this.#revision)
    } catch (error) {
      this.#log.error({ reason: ensureError(error).message }, "Following a change of the routes failed")
    }
  }
}

function watchError(cause: Error): MurmurError {
  return new MurmurError(`Cannot follow the routes of the mesh: ${cause.message}`, { code: "ROUTE_WATCH", cause })
}

function checkOptions(options: LiveRoutesOptions): void {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name))
  const { retryMsMax = RETRY_MS_MAX } = options
  if (unknown === undefined && retryMsMax > 0) return
  const reason =
    unknown === undefined
      ? `retryMsMax must be more than 0, is ${retryMsMax}`
      : `unknown option "${unknown}" (known: ${OPTIONS.join(", ")})`
  throw new MurmurError(`Cannot follow the routes: ${reason}`, { code: "ROUTE_OPTION" })
}
