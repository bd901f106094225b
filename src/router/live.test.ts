import { setTimeout as delay } from "node:timers/promises"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { MurmurError } from "../errors.js"
import { type Log, silentLog } from "../telemetry/ports.js"
import { LiveRoutes, type LiveRoutesOptions } from "./live.js"
import { codeRoute, liveRoute, type Route } from "./route.js"
import { addRoute, declareRoutes, type RouteBucket, removeRoute, routeKey } from "./route-bucket.js"
import type { RouteTable } from "./table.js"

interface Entry {
  key: string
  value: unknown
  revision: number
}
type Change = Entry | { synced: true }

/** The bucket's contract in memory: JSON in and out, keys checked, watches that can be broken off. */
class MemoryBucket implements RouteBucket {
  readonly #entries = new Map<string, Entry>()
  readonly #watches = new Set<{ push: (change: Change | Error) => void }>()
  #revision = 0
  down = false

  async get(key: string): Promise<Entry | undefined> {
    return this.#entries.get(key)
  }

  async put(key: string, value: unknown): Promise<number> {
    if (!/^[-/_=.a-zA-Z0-9]+$/.test(key)) throw new Error(`bad key ${key}`)
    const entry = { key, value: JSON.parse(JSON.stringify(value)), revision: ++this.#revision }
    this.#entries.set(key, entry)
    this.#tell(entry)
    return entry.revision
  }

  async create(key: string, value: unknown): Promise<number> {
    if (this.#entries.has(key)) throw new MurmurError("exists", { code: "BUCKET_CONFLICT" })
    return this.put(key, value)
  }

  async update(key: string, value: unknown, revision: number): Promise<number> {
    if (this.#entries.get(key)?.revision !== revision) throw new MurmurError("other", { code: "BUCKET_CONFLICT" })
    return this.put(key, value)
  }

  async delete(key: string): Promise<void> {
    this.#entries.delete(key)
    this.#tell({ key, value: undefined, revision: ++this.#revision })
  }

  async *entries(): AsyncGenerator<Entry> {
    yield* [...this.#entries.values()]
  }

  async *watch(options: { signal: AbortSignal }): AsyncGenerator<Change> {
    if (this.down) throw new Error("bucket is down")
    const queue: (Change | Error)[] = [...this.#entries.values(), { synced: true }]
    let wake = (): void => {}
    const push = (change: Change | Error): void => {
      queue.push(change)
      wake()
    }
    const watch = { push }
    this.#watches.add(watch)
    options.signal.addEventListener("abort", () => wake(), { once: true })
    try {
      while (!options.signal.aborted) {
        const next = queue.shift()
        if (next instanceof Error) throw next
        if (next !== undefined) yield next
        else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    } finally {
      this.#watches.delete(watch)
    }
  }

  breakWatches(): void {
    for (const watch of this.#watches) watch.push(new Error("connection lost"))
  }

  #tell(change: Entry): void {
    for (const watch of this.#watches) watch.push(change)
  }
}

const triage = codeRoute({ agent: "triage", pattern: "ci.run.*" })
const ids = (table: RouteTable): string[] => table.routes.map(({ id }) => id).sort()

let stop: AbortController
let bucket: MemoryBucket
let warnings: object[]

beforeEach(() => {
  stop = new AbortController()
  bucket = new MemoryBucket()
  warnings = []
})
afterEach(() => stop.abort())

const log: Log = { ...silentLog, warn: (fields) => warnings.push(fields) }

function open(code = [triage], options: Partial<LiveRoutesOptions> = {}): Promise<LiveRoutes> {
  return LiveRoutes.open(bucket, code, { signal: stop.signal, log, retryMsMax: 50, ...options })
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`never came true: ${condition}`)
    await delay(2)
  }
}

describe("the live routes of a node", () => {
  it("are those of its code and those in the bucket, once open", async () => {
    const added = await addRoute(
      bucket,
      liveRoute({ agent: "audit", pattern: ">", filter: { exact: { trust: "external" } } }),
    )
    const live = await open()
    expect(ids(live.table)).toEqual([added.id, triage.id].sort())
    expect(live.table.get(added.id)).toEqual(added)
    expect(live.revision).toBe(1)
  })

  it("follow what is added and removed, on every node", async () => {
    const seen: [string[], number][] = []
    const first = await open([triage], { onChange: (table, revision) => seen.push([ids(table), revision]) })
    const second = await open([codeRoute({ agent: "other", pattern: "x" })])
    const added = await addRoute(bucket, liveRoute({ agent: "audit", pattern: "ci.>" }))
    await until(() => first.revision === 1 && second.revision === 1)
    expect(ids(second.table)).toEqual([added.id, "other/x"].sort())
    await removeRoute(bucket, added.id)
    await until(() => first.revision === 2)
    expect(seen).toEqual([
      [[added.id, triage.id].sort(), 1],
      [[triage.id], 2],
    ])
  })

  it("hold a route once, however often it is added", async () => {
    const live = await open()
    const one = await addRoute(bucket, liveRoute({ agent: "audit", pattern: "ci.>" }))
    const two = await addRoute(bucket, liveRoute({ agent: "audit", pattern: "ci.>" }))
    expect(two).toEqual(one)
    await until(() => live.revision === 2)
    expect(live.table.size).toBe(2)
  })

  it("lose a route of the code that was removed, also after a restart, until it is added again", async () => {
    const predicate = (): boolean => true
    const narrowed = codeRoute({ agent: "triage", pattern: "ci.run.*", predicate })
    const live = await open([narrowed])
    await removeRoute(bucket, narrowed.id)
    await until(() => live.table.size === 0)
    expect((await open([narrowed])).table.size).toBe(0)
    const again = await addRoute(bucket, liveRoute({ agent: "triage", pattern: "ci.run.*" }))
    expect(again.id).toBe(narrowed.id)
    await until(() => live.table.size === 1)
    expect(live.table.get(narrowed.id)).toBe(narrowed)
  })

  it("leave out records that cannot be read, with a warning", async () => {
    const good = liveRoute({ agent: "audit", pattern: "ci.>" })
    await bucket.put("junk", "hello")
    await bucket.put("rbad", { kind: "route", route: { ...good, id: "rbad", pattern: "a.>.b" } })
    await bucket.put("rwhere", { kind: "route", route: { ...good, id: "rwhere", filter: { data: { $where: "1" } } } })
    await bucket.put("stolen", { kind: "route", route: good })
    await addRoute(bucket, good)
    const live = await open()
    expect(ids(live.table)).toEqual([good.id, triage.id].sort())
    expect(warnings).toHaveLength(4)
    await bucket.put(routeKey(good.id), { kind: "route" })
    await until(() => live.table.size === 1)
  })

  it("are not disturbed by a record that takes the id of a route in code", async () => {
    await bucket.put(routeKey(triage.id), {
      kind: "route",
      route: { ...liveRoute({ agent: "evil", pattern: ">" }), id: triage.id },
    })
    expect((await open()).table.routes).toEqual([triage])
  })

  it("survive a watch that breaks off, and then miss neither what was added nor what was deleted", async () => {
    const gone = await addRoute(bucket, liveRoute({ agent: "audit", pattern: "a.>" }))
    let changes = 0
    const live = await open([triage], { onChange: () => changes++ })
    bucket.down = true
    bucket.breakWatches()
    await until(() => warnings.length >= 2)
    expect(live.table.get(gone.id)).toBeDefined()
    await bucket.delete(routeKey(gone.id))
    const added = await addRoute(bucket, liveRoute({ agent: "audit", pattern: "b.>" }))
    bucket.down = false
    await until(() => changes > 0)
    expect(ids(live.table)).toEqual([added.id, triage.id].sort())
  })

  it("outlive a listener that throws", async () => {
    const live = await open([triage], {
      onChange: () => {
        throw new Error("boom")
      },
    })
    await addRoute(bucket, liveRoute({ agent: "audit", pattern: "a" }))
    await addRoute(bucket, liveRoute({ agent: "audit", pattern: "b" }))
    await until(() => live.table.size === 3)
  })

  it("take other code in the place of their own", async () => {
    const tables: string[][] = []
    const live = await open([triage], { onChange: (table) => tables.push(ids(table)) })
    live.replaceCode([codeRoute({ agent: "triage", pattern: "ci.job.*" })])
    expect(ids(live.table)).toEqual(["triage/ci.job.*"])
    expect(tables).toEqual([["triage/ci.job.*"]])
  })

  it("end with their signal", async () => {
    const live = await open()
    stop.abort()
    await live.done
  })

  it("do not open on a bucket that cannot be read, or with an option that does not exist", async () => {
    bucket.down = true
    await expect(open()).rejects.toMatchObject({ code: "ROUTE_WATCH", message: expect.stringContaining("is down") })
    const wrong = { signal: stop.signal, onchange: () => {} }
    await expect(LiveRoutes.open(bucket, [], wrong)).rejects.toMatchObject({ code: "ROUTE_OPTION" })
  })
})

describe("removing a live route", () => {
  it("that is not there is an error", async () => {
    await expect(removeRoute(bucket, "r0123456789")).rejects.toMatchObject({ code: "ROUTE_UNKNOWN" })
  })
})

describe("declaring the routes of the code", () => {
  it("lets other nodes know them, and forgets what the code no longer declares", async () => {
    const other = await open([])
    const first = codeRoute({ agent: "triage", pattern: "ci.>", predicate: () => true })
    const foreign = codeRoute({ agent: "market", pattern: "market.>" })
    await declareRoutes(bucket, ["triage", "market"], [triage, first, foreign])
    await until(() => other.table.size === 3)
    const { predicate: _stays, ...plain } = first
    expect(other.table.get(first.id)).toEqual(plain satisfies Route)
    await declareRoutes(bucket, ["triage"], [{ ...triage, priority: 5 }])
    await until(() => other.table.size === 2 && other.table.get(triage.id)?.priority === 5)
    expect(ids(other.table)).toEqual([foreign.id, triage.id].sort())
  })

  it("writes nothing when nothing changed, and mends what cannot be read", async () => {
    await declareRoutes(bucket, ["triage"], [triage])
    await declareRoutes(bucket, ["triage"], [triage])
    expect((await bucket.get(routeKey(triage.id)))?.revision).toBe(1)
    await bucket.put(routeKey(triage.id), "junk")
    await declareRoutes(bucket, ["triage"], [triage])
    expect((await bucket.get(routeKey(triage.id)))?.value).toEqual({ kind: "route", route: triage })
  })

  it("does not switch a removed route on again, and forgets the removal with the code", async () => {
    await removeRoute(bucket, triage.id)
    await declareRoutes(bucket, ["triage"], [triage])
    expect((await open()).table.size).toBe(0)
    await declareRoutes(bucket, ["triage"], [])
    expect(await bucket.get(routeKey(triage.id))).toBeUndefined()
  })
})
