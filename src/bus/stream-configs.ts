import type { StreamConfig } from "@nats-io/jetstream"
import { KEPT } from "./counters.js"
import type { MeshNames } from "./subjects.js"

/**
 * How much a mesh keeps, and how often. The defaults are for streams that are made: what is not given here is left as it is in
 * a stream that exists, so an operator's change to a stream stays.
 */
export interface RetentionOptions {
  /** How long events are kept, in milliseconds. Default 30 days. */
  readonly eventsAgeMsMax?: number
  /** How many bytes of events are kept; the oldest go first. Default 10 GiB, or about half of what the server has room for. */
  readonly eventsBytesMax?: number
  /** In how many copies. Default: as many as the mesh's events have; for a new mesh 3 on a cluster, else 1. */
  readonly replicas?: 1 | 3 | 5
  /** For how long an event's id is stored once only, in milliseconds. Default 2 minutes: an id costs some 200 bytes of server memory. */
  readonly dedupWindowMs?: number
}

/** The streams of a mesh, and how much they keep. */
export interface StreamOptions extends RetentionOptions {
  /** Whose session logs and journals get streams, where each agent has its own. */
  readonly agents?: readonly string[]
}

const DAY_MS = 86_400_000
const NANOS = 1_000_000

/** How much is kept: the operator's choice. Everything else must be as the mesh needs it. */
export const RETENTION_SETTINGS: readonly string[] = ["max_age", "max_bytes", "num_replicas", "duplicate_window"]

/** The newest message of a subject is its counter. */
const COUNTERS = {
  allow_msg_counter: true,
  max_msgs_per_subject: KEPT, // after a restart the server knows the ids of what it has
  duplicate_window: 120_000 * NANOS, // of additions, not of events: no matter of how much is kept
  discard: "old" as const, // the server refuses "new" beside counters
}

/** A stream as the mesh needs it. */
export type WantedStream = Partial<StreamConfig> & Pick<StreamConfig, "name" | "subjects">

/** The streams of a mesh. Limits are explicit: newer servers stop at 1,000 consumers a stream otherwise. */
export function streamConfigs(names: MeshNames, options: StreamOptions = {}): WantedStream[] {
  const common = {
    storage: "file" as const,
    retention: "limits" as const,
    num_replicas: options.replicas ?? 1,
    max_consumers: 100_000,
    allow_direct: true,
  }
  const events = names.eventSubjects()
  return [
    {
      ...common,
      name: names.events,
      subjects: [events.published],
      subject_transform: { src: events.transformFrom, dest: events.transformTo },
      max_age: (options.eventsAgeMsMax ?? 30 * DAY_MS) * NANOS,
      max_bytes: options.eventsBytesMax ?? 10 * 1024 ** 3,
      duplicate_window: (options.dedupWindowMs ?? 120_000) * NANOS,
      discard: "old",
    },
    ...logConfigs(names, options.agents ?? []).map((log) => ({ ...common, ...log })),
    { ...common, name: names.dead, subjects: [`${names.mesh}.dead.>`], discard: "new" },
    {
      ...common,
      ...COUNTERS,
      name: names.budgets,
      subjects: [`${names.mesh}.budget.>`],
      max_age: 7 * DAY_MS * NANOS, // counted from the last addition: what is idle for a week is over
    },
    {
      ...common,
      ...COUNTERS,
      name: names.usage,
      subjects: [`${names.mesh}.usage.>`],
      max_age: 400 * DAY_MS * NANOS, // of agents, days and months: a year can be looked back
    },
    {
      ...common,
      name: names.timers,
      // the only stream with schedules: in EVENTS any producer could forge another's subject as a schedule's target
      subjects: [`${names.mesh}.timer.>`, `${names.mesh}.due.>`, `${names.mesh}.wake.>`],
      allow_msg_schedules: true,
      allow_msg_ttl: true,
      discard: "old", // the server refuses "new" beside schedules; there is no limit that could push anything out
    },
  ]
}

/** The streams of session logs and journals: one of each kind, or one of each kind for every agent. */
function logConfigs(names: MeshNames, agents: readonly string[]): WantedStream[] {
  const owners = names.layout === "mesh" ? [{ name: "any", of: "" }] : agents.map((name) => ({ name, of: `.${name}` }))
  return owners.flatMap(({ name, of }): WantedStream[] => [
    { name: names.sessionsOf(name), subjects: [`${names.mesh}.ses${of}.>`], discard: "new" },
    {
      name: names.stepsOf(name),
      subjects: [`${names.mesh}.step${of}.>`],
      allow_msg_ttl: true, // what a suspended step needs is kept for as long as it waits
      max_age: 7 * DAY_MS * NANOS, // a step that was not finished in a week is not finished any more
      discard: "new",
    },
  ])
}
