import { Artifacts, artifactsBucket, artifactsStream } from "../../bus/artifacts.js"
import { type BucketOptions, bucketStream } from "../../bus/bucket.js"
import type { Bus } from "../../bus/bus.js"
import { updateStream } from "../../bus/stream-admin.js"
import { type Difference, streamInfo } from "../../bus/streams.js"
import { MESH_BUCKETS } from "../buckets.js"
import { isChange, type PlannedChange, type Stage, toCreate, toUpdate } from "./plan.js"
import type { Wanted } from "./wanted.js"

/** The buckets that every node opens when it starts; the others are made with the first entry. */
const AT_ONCE = new Set(["catalogue", "presence", "routes", "settings", "sources", "questions", "guards"])
const NANOS = 1_000_000

/** Something that is kept in a stream of its own, such as a bucket. */
interface Store {
  readonly change: PlannedChange
  readonly stream: string
  make(): Promise<unknown>
}

/** The buckets and the artifacts of a mesh. */
export async function planStores(bus: Bus, { options }: Wanted): Promise<Stage> {
  const { replicas } = options.retention ?? {}
  const names = (Object.keys(MESH_BUCKETS) as (keyof typeof MESH_BUCKETS)[]).filter(
    (name) => options.ahead || AT_ONCE.has(name),
  )
  const stores = await Promise.all([
    ...names.map((name) => bucketStore(bus, name, { ...MESH_BUCKETS[name], ...(replicas && { replicas }) })),
    ...(options.ahead ? [artifactStore(bus, replicas)] : []),
  ])
  const apply = async (): Promise<string[]> => {
    for (const store of stores.filter(({ change }) => isChange(change))) await bringAbout(bus, store)
    return []
  }
  return { changes: stores.map(({ change }) => change), apply }
}

async function bucketStore(bus: Bus, name: string, options: BucketOptions): Promise<Store> {
  const full = bus.bucketName(name)
  const stream = bucketStream(full)
  const wanted: Settings = {
    ...(options.ttlMs !== undefined && { max_age: options.ttlMs * NANOS }),
    ...(options.replicas !== undefined && { num_replicas: options.replicas }),
  }
  const change = await compare(bus, { kind: "bucket", name: full, stream, wanted })
  return { change, stream, make: () => bus.bucket(name, options) }
}

async function artifactStore(bus: Bus, replicas: 1 | 3 | 5 | undefined): Promise<Store> {
  const stream = artifactsStream(bus.names)
  const wanted: Settings = { ...(replicas !== undefined && { num_replicas: replicas }) }
  const change = await compare(bus, { kind: "object store", name: artifactsBucket(bus.names), stream, wanted })
  return { change, stream, make: () => Artifacts.open(bus, { ...(replicas && { replicas }) }) }
}

type Settings = Readonly<Record<string, number>>

async function compare(
  bus: Bus,
  { kind, name, stream, wanted }: { kind: "bucket" | "object store"; name: string; stream: string; wanted: Settings },
): Promise<PlannedChange> {
  const found = await streamInfo(bus.link.manager, stream)
  if (found === undefined) return toCreate(kind, name)
  const config = found.config as unknown as Settings
  const differences = Object.entries(wanted)
    .filter(([setting, value]) => config[setting] !== value)
    .map(([setting, value]): Difference => ({ setting, found: config[setting], wanted: value }))
  return toUpdate(kind, name, differences)
}

async function bringAbout(bus: Bus, { change, stream, make }: Store): Promise<void> {
  if (change.action === "create") await make()
  else await updateStream(bus.link, stream, change.differences)
}
