import type { Bucket } from "../../bus/bucket.js"
import type { Bus } from "../../bus/bus.js"
import { type DurableInfo, listDurables } from "../../bus/consumers.js"
import { streamInfo } from "../../bus/streams.js"
import { type RouteRecord, readRecords } from "../../router/route-bucket.js"
import { CatalogueRecord, PresenceRecord, readAll } from "../buckets.js"

type Readable = Pick<Bucket, "entries">

/** What a mesh has before it is deployed to. Reading it changes nothing. */
export interface Found {
  /** By name; those of the mesh's events and of its timers. */
  readonly durables: ReadonlyMap<string, DurableInfo>
  /** The last sequence of the mesh's events, read before the durables were. */
  readonly lastSeq: number
  /** By kind and name, as they lie there. */
  readonly catalogue: ReadonlyMap<string, unknown>
  readonly records: readonly CatalogueRecord[]
  /** By key. */
  readonly settings: ReadonlyMap<string, unknown>
  readonly routes: Readable
  readonly routeRecords: readonly RouteRecord[]
  readonly nodes: readonly PresenceRecord[]
}

/** Reads what a mesh has; nothing where there is no mesh yet. */
export async function readFound(bus: Bus): Promise<Found> {
  const { link, names } = bus
  const lastSeq = (await streamInfo(link.manager, names.events))?.state.last_seq ?? 0
  const read = async (name: string): Promise<Readable> => (await bus.findBucket(name)) ?? NOTHING
  const [events, timers, catalogue, settings, routes, presence] = await Promise.all([
    listDurables(link, names.events),
    listDurables(link, names.timers),
    read("catalogue"),
    read("settings"),
    read("routes"),
    read("presence"),
  ])
  const [catalogued, set, routeRecords, nodes] = await Promise.all([
    valuesOf(catalogue),
    valuesOf(settings),
    readRecords(routes),
    readAll(presence, PresenceRecord),
  ])
  const records = [...catalogued.values()].flatMap((value) => CatalogueRecord.safeParse(value).data ?? [])
  const durables = new Map([...events, ...timers])
  return { durables, lastSeq, catalogue: catalogued, records, settings: set, routes, routeRecords, nodes }
}

const NOTHING: Readable = {
  async *entries() {
    // a bucket that is not there
  },
}

async function valuesOf(bucket: Readable): Promise<Map<string, unknown>> {
  const values = new Map<string, unknown>()
  for await (const { key, value } of bucket.entries()) values.set(key, value)
  return values
}
