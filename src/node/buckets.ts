import { z } from "zod"
import type { Bucket, BucketOptions } from "../bus/bucket.js"
import type { BusCore } from "../bus/bus-core.js"

/** Presence vanishes this long after a node's last sign of life. */
export const PRESENCE_TTL_MS = 10_000

/** An event type as the catalogue knows it. */
const CatalogueEvent = z.object({
  type: z.string(),
  description: z.string().optional(),
  /** JSON Schema of its data. */
  schema: z.unknown(),
})

/** What a mesh knows about an agent or a source, whether or not a node hosts it now. */
export const CatalogueRecord = z.object({
  kind: z.enum(["agent", "source"]),
  name: z.string(),
  description: z.string().optional(),
  /** Patterns it reacts to; empty for a source. */
  on: z.array(z.string()),
  emits: z.array(z.string()),
  /** Definitions of the events it names. */
  events: z.array(CatalogueEvent),
  partitions: z.union([z.literal(1), z.literal(8), z.literal(64)]),
  /** Whether the events of a key come in order, or any node takes any event. */
  ordering: z.enum(["key", "none"]).default("key"),
  inflightMax: z.number(),
  /** Labels of the nodes that may host it. */
  nodeSelector: z.record(z.string(), z.string()).optional(),
  from: z.string(),
  /** How it reacts: a handler per event, or a pipeline per key. */
  behaviour: z.enum(["handle", "react", "source"]),
})
export type CatalogueRecord = z.infer<typeof CatalogueRecord>

/** One agent on one node, as the node tells it. */
const PresentAgent = z.object({
  name: z.string(),
  state: z.enum(["running", "paused", "quarantined"]),
  active: z.boolean(),
  /** How many partitions the agent has by the code of this node, and which of them are this node's. */
  partitions: z.number().default(1),
  owned: z.array(z.number()).default([]),
  /** The code that runs there: a hash of the agent's definition, as its commits tell it. */
  code: z.string().nullable().default(null),
  blocked: z.string().nullable(),
  steps: z.number(),
  failures: z.number(),
  retries: z.number(),
  deadLetters: z.number(),
  lateDropped: z.number(),
  sessions: z.number(),
  inflight: z.number(),
  /** The models that it is known to ask, as `provider/model`. */
  models: z.array(z.string()).default([]),
})

/** A provider of models as a node that asks it sees it. */
const PresentProvider = z.object({
  provider: z.string(),
  circuit: z.enum(["closed", "open", "half-open"]),
  /** When it is asked again, in milliseconds since 1970, by the node's clock. */
  untilMs: z.number().optional(),
  running: z.number(),
  waiting: z.number(),
  calls: z.number(),
  failures: z.number(),
})
export type PresentProvider = z.infer<typeof PresentProvider>

/** A node's sign of life. */
export const PresenceRecord = z.object({
  id: z.string(),
  host: z.string(),
  pid: z.number(),
  /** Of murmur. */
  version: z.string(),
  /** Of the code of the agents, as whoever runs the node calls it. */
  codeVersion: z.string().nullable().default(null),
  /** What it is labelled with: which agents it may host. */
  labels: z.record(z.string(), z.string()).default({}),
  since: z.string(),
  http: z.string().nullable(),
  /** How long what it has begun may take when it leaves. */
  graceMs: z.number().default(25_000),
  /** It leaves: it begins nothing, and finishes what it has begun. */
  draining: z.boolean().default(false),
  agents: z.array(PresentAgent),
  sources: z.array(z.object({ name: z.string(), state: z.enum(["running", "restarting", "done"]) })),
  /** Empty until one of its agents has asked a model. */
  providers: z.array(PresentProvider).default([]),
  /** Revision of the route table that it has applied. */
  routesRevision: z.number(),
})
export type PresenceRecord = z.infer<typeof PresenceRecord>

/** The buckets that the nodes and tools of a mesh share. */
export interface MeshBuckets {
  readonly catalogue: Bucket
  readonly presence: Bucket
  readonly routes: Bucket
  /** What an operator has decided: `pause.<agent>`, `inbox.<agent>`, `wake.<agent>`, `drain.<node>`. */
  readonly settings: Bucket
  readonly sources: Bucket
  /** Questions that wait for a person, by their id. */
  readonly questions: Bucket
}

const DAY_MS = 86_400_000
const MEBI = 1024 ** 2

/** Every bucket of a mesh, and how it is made. */
export const MESH_BUCKETS = {
  catalogue: {},
  presence: { ttlMs: PRESENCE_TTL_MS },
  routes: {},
  settings: {},
  sources: {},
  questions: {},
  /** As long as the counters of a tree are kept; a tree that is older is over. */
  guards: { ttlMs: 7 * DAY_MS },
  "llm-limits": {},
  "llm-cache": { forgets: { bytesMax: 64 * MEBI } },
  MEMOS: {},
} as const satisfies Record<string, BucketOptions>

/** Opens a bucket of the mesh, and creates it when it is not there. @throws MurmurError `BUCKET_OPEN`, `NOT_DEPLOYED` */
export function openBucket(bus: BusCore, name: keyof typeof MESH_BUCKETS): Promise<Bucket> {
  return bus.bucket(name, MESH_BUCKETS[name])
}

/** Opens the buckets that every node and tool needs. @throws MurmurError `BUCKET_OPEN`, `NOT_DEPLOYED` */
export async function openBuckets(bus: BusCore): Promise<MeshBuckets> {
  const [catalogue, presence, routes, settings, sources, questions] = await Promise.all([
    openBucket(bus, "catalogue"),
    openBucket(bus, "presence"),
    openBucket(bus, "routes"),
    openBucket(bus, "settings"),
    openBucket(bus, "sources"),
    openBucket(bus, "questions"),
  ])
  return { catalogue, presence, routes, settings, sources, questions }
}

/** All readable records of a bucket. What cannot be read is left out: it is another version's. */
export async function readAll<T>(bucket: Pick<Bucket, "entries">, schema: z.ZodType<T>): Promise<T[]> {
  const records = new Map<string, T>()
  for await (const { key, value } of bucket.entries()) {
    const checked = schema.safeParse(value)
    if (checked.success) records.set(key, checked.data) // one that is written meanwhile comes twice
  }
  return [...records.values()]
}
