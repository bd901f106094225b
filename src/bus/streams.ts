import type { JetStreamManager, StreamConfig, StreamInfo } from "@nats-io/jetstream"
import { errorCode, MurmurError } from "../errors.js"
import { type Log, silentLog } from "../telemetry/ports.js"
import { KEPT } from "./counters.js"
import { addWithinRoom, isNoRoom } from "./stream-room.js"
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
  /** In how many copies. Default 1; 3 on a cluster. */
  readonly replicas?: 1 | 3 | 5
  /** For how long an event's id is stored once only, in milliseconds. Default 2 minutes: an id costs some 200 bytes of server memory. */
  readonly dedupWindowMs?: number
}

/** The streams of a mesh, and how much they keep. */
export interface StreamOptions extends RetentionOptions {
  /** Whose session logs and journals get streams, where each agent has its own. */
  readonly agents?: readonly string[]
}

/** What {@link ensureStreams} did, or would do. */
export interface StreamChange {
  readonly stream: string
  readonly action: "create" | "update" | "none"
  /** The settings that differ, with both values. */
  readonly differences: readonly { setting: string; found: unknown; wanted: unknown }[]
}

const DAY_MS = 86_400_000
const NANOS = 1_000_000
const STREAM_NOT_FOUND = 10059
const STREAM_EXISTS = 10058

/** How much is kept: the operator's choice. Everything else must be as the mesh needs it. */
export const RETENTION_SETTINGS: readonly string[] = ["max_age", "max_bytes", "num_replicas", "duplicate_window"]

/** The newest message of a subject is its counter. */
const COUNTERS = {
  allow_msg_counter: true,
  max_msgs_per_subject: KEPT, // after a restart the server knows the ids of what it has
  duplicate_window: 120_000 * NANOS, // of additions, not of events: no matter of how much is kept
  discard: "old" as const, // the server refuses "new" beside counters
}

type Wanted = Partial<StreamConfig> & Pick<StreamConfig, "name" | "subjects">

/** The streams of a mesh. Limits are explicit: newer servers stop at 1,000 consumers a stream otherwise. */
export function streamConfigs(names: MeshNames, options: StreamOptions = {}): Wanted[] {
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
function logConfigs(names: MeshNames, agents: readonly string[]): Wanted[] {
  const owners = names.layout === "mesh" ? [{ name: "any", of: "" }] : agents.map((name) => ({ name, of: `.${name}` }))
  return owners.flatMap(({ name, of }): Wanted[] => [
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

/**
 * Creates the streams of a mesh and brings existing ones up to date; safe to run again and from several places at once. Of an
 * existing stream's retention only what `options` gives is changed.
 *
 * @throws MurmurError `STREAM_MIGRATE` when the server refuses a change, with stream and reason
 */
export async function ensureStreams(
  manager: JetStreamManager,
  names: MeshNames,
  options: StreamOptions = {},
  log: Log = silentLog,
): Promise<StreamChange[]> {
  const changes: StreamChange[] = []
  for (const wanted of streamConfigs(names, options)) {
    const setup = { manager, wanted, given: givenFor(wanted, names, options), log }
    changes.push(await ensureStream(setup))
  }
  return changes
}

/** One stream to set up. */
interface Setup {
  readonly manager: JetStreamManager
  readonly wanted: Wanted
  /** The retention that somebody asked for, by its names on the stream. */
  readonly given: ReadonlySet<string>
  readonly log: Log
}

function givenFor({ name }: Wanted, names: MeshNames, options: StreamOptions): ReadonlySet<string> {
  const given = new Set<string>()
  if (options.replicas !== undefined) given.add("num_replicas")
  if (name !== names.events) return given
  if (options.eventsAgeMsMax !== undefined) given.add("max_age")
  if (options.eventsBytesMax !== undefined) given.add("max_bytes")
  if (options.dedupWindowMs !== undefined) given.add("duplicate_window")
  return given
}

async function ensureStream(setup: Setup): Promise<StreamChange> {
  const { manager, wanted } = setup
  const stream = wanted.name
  try {
    const found = await streamInfo(manager, stream)
    if (found === undefined) {
      await create(setup)
      return { stream, action: "create", differences: [] }
    }
    const differences = compare(found.config, wanted).filter(({ setting }) => isOurs(setup, setting))
    if (differences.length === 0) return { stream, action: "none", differences }
    const settings = differences.map(({ setting, wanted: value }) => [setting, value])
    await manager.streams.update(stream, Object.fromEntries(settings) as Partial<StreamConfig>)
    return { stream, action: "update", differences }
  } catch (cause) {
    if (apiCode(cause) === STREAM_EXISTS) return ensureStream(setup) // somebody else was first: compare with theirs
    throw new MurmurError(`Cannot set up stream "${stream}": ${whyNot(cause, setup)}`, {
      code: "STREAM_MIGRATE",
      cause,
      details: { stream, server: apiCode(cause) || errorCode(cause) },
    })
  }
}

async function create({ manager, wanted, given, log }: Setup): Promise<void> {
  const { max_bytes } = wanted
  if (max_bytes === undefined || given.has("max_bytes")) await manager.streams.add(wanted)
  else await addWithinRoom(manager, { ...wanted, max_bytes }, log)
}

/** Whether a setting of an existing stream is ours to change: an operator's retention is not, unless somebody asked for it. */
function isOurs({ given }: Setup, setting: string): boolean {
  return given.has(setting) || !RETENTION_SETTINGS.includes(setting)
}

function whyNot(cause: unknown, { wanted, given }: Setup): string {
  const reason = (cause as Error).message
  if (!isNoRoom(cause)) return reason
  const more = "free disk space, or raise max_file in the server's jetstream block"
  if (!given.has("max_bytes")) return `the server has too little storage left for the least of it (${reason}); ${more}`
  const asked = `it may grow to ${wanted.max_bytes} bytes (eventsBytesMax)`
  return `${asked}, and the server has not so much storage left (${reason}); make eventsBytesMax smaller, ${more}`
}

/** The stream's state, or `undefined` when there is none. */
export async function streamInfo(manager: JetStreamManager, stream: string): Promise<StreamInfo | undefined> {
  try {
    return await manager.streams.info(stream)
  } catch (error) {
    if (apiCode(error) === STREAM_NOT_FOUND) return undefined
    throw error
  }
}

/** NATS's own number of an API error, such as 10059; 0 when it is none. */
export function apiCode(error: unknown): number {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === "number" ? code : 0
}

function compare(found: StreamConfig, wanted: Wanted): { setting: string; found: unknown; wanted: unknown }[] {
  const differences: { setting: string; found: unknown; wanted: unknown }[] = []
  for (const [setting, value] of Object.entries(wanted)) {
    const current = (found as unknown as Record<string, unknown>)[setting]
    if (JSON.stringify(current) !== JSON.stringify(value)) differences.push({ setting, found: current, wanted: value })
  }
  return differences
}
