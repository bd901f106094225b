import type { JetStreamManager, StreamConfig, StreamInfo } from "@nats-io/jetstream"
import { errorCode, MurmurError } from "../errors.js"
import { type Log, silentLog } from "../telemetry/ports.js"
import type { Link } from "./link.js"
import { RETENTION_SETTINGS, type StreamOptions, streamConfigs, type WantedStream } from "./stream-configs.js"
import { addWithinRoom, isNoRoom } from "./stream-room.js"
import type { MeshNames } from "./subjects.js"

/** A setting that is not as wanted. */
export interface Difference {
  readonly setting: string
  readonly found: unknown
  readonly wanted: unknown
}

/** What {@link ensureStreams} did, or would do. */
export interface StreamChange {
  readonly stream: string
  readonly action: "create" | "update" | "none"
  /** The settings that differ, with both values. */
  readonly differences: readonly Difference[]
}

/** What the server says of a stream that is not there. */
export const STREAM_NOT_FOUND = 10059
const STREAM_EXISTS = 10058
/** `no suitable peers for placement`, `replicas > 1 not supported in non-clustered mode`. */
const TOO_FEW_SERVERS = new Set([10005, 10074])
const CONSUMERS_LIMIT = 10026
const REPLICAS_OF_A_CLUSTER = 3

/** What the server never changes of a stream that is there. */
export const FIXED_SETTINGS: readonly string[] = ["storage", "retention", "max_consumers", "allow_msg_counter"]

/**
 * Creates the streams of a mesh and brings existing ones up to date; safe to run again and from several places at once. Of an
 * existing stream's retention only what `options` gives is changed.
 *
 * @throws MurmurError `STREAM_MIGRATE` when the server refuses a change, with stream and reason
 */
export async function ensureStreams(
  link: Link,
  names: MeshNames,
  options: StreamOptions = {},
  log: Log = silentLog,
): Promise<StreamChange[]> {
  const changes: StreamChange[] = []
  let replicas = await replicasOfMesh(link, names, options)
  for (const wanted of streamConfigs(names, options)) {
    const given = givenFor(wanted, names, options)
    const setup = { manager: link.manager, wanted: { ...wanted, num_replicas: replicas }, given, log }
    const change = await ensureStream(setup)
    changes.push(change)
    // a cluster that is too small for the default copies has said so of the first: the others are made like it
    if (change.action === "create") replicas = setup.wanted.num_replicas
  }
  return changes
}

/** What {@link ensureStreams} would do. Nothing is changed. */
export async function compareStreams(
  link: Link,
  names: MeshNames,
  options: StreamOptions = {},
): Promise<StreamChange[]> {
  const { manager } = link
  const replicas = await replicasOfMesh(link, names, options)
  const all = streamConfigs(names, options).map((config) => ({ ...config, num_replicas: replicas }))
  return Promise.all(
    all.map(async (wanted): Promise<StreamChange> => {
      const stream = wanted.name
      const found = await streamInfo(manager, stream)
      if (found === undefined) return { stream, action: "create", differences: [] }
      const differences = differencesOf(found.config, wanted, givenFor(wanted, names, options))
      return { stream, action: differences.length === 0 ? "none" : "update", differences }
    }),
  )
}

/**
 * In how many copies what a mesh makes is kept: as asked for, else as its events are. The first of a mesh on a cluster is kept
 * in three.
 */
export async function replicasOfMesh(
  { manager, connection }: Link,
  names: MeshNames,
  { replicas }: Pick<StreamOptions, "replicas"> = {},
): Promise<number> {
  if (replicas !== undefined) return replicas
  const events = await streamInfo(manager, names.events)
  return events?.config.num_replicas ?? (connection.info?.cluster === undefined ? 1 : REPLICAS_OF_A_CLUSTER)
}

/** One stream to set up. */
interface Setup {
  readonly manager: JetStreamManager
  wanted: WantedStream & { readonly num_replicas: number }
  /** The retention that somebody asked for, by its names on the stream. */
  readonly given: ReadonlySet<string>
  readonly log: Log
}

function givenFor({ name }: WantedStream, names: MeshNames, options: StreamOptions): ReadonlySet<string> {
  const given = new Set<string>()
  if (options.replicas !== undefined) given.add("num_replicas")
  if (name !== names.events) return given
  if (options.eventsAgeMsMax !== undefined) given.add("max_age")
  if (options.eventsBytesMax !== undefined) given.add("max_bytes")
  if (options.dedupWindowMs !== undefined) given.add("duplicate_window")
  return given
}

async function ensureStream(setup: Setup): Promise<StreamChange> {
  const { manager, wanted, given } = setup
  const stream = wanted.name
  try {
    const found = await streamInfo(manager, stream)
    if (found === undefined) {
      await create(setup)
      return { stream, action: "create", differences: [] }
    }
    const differences = differencesOf(found.config, wanted, given)
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

async function create(setup: Setup): Promise<void> {
  const { wanted, given, log } = setup
  try {
    await add(setup)
  } catch (error) {
    const asked = given.has("num_replicas") || wanted.num_replicas === 1
    if (asked || isNoRoom(error) || !TOO_FEW_SERVERS.has(apiCode(error))) throw error
    log.warn(
      { stream: wanted.name, replicas: wanted.num_replicas, reason: (error as Error).message },
      'the cluster has too few servers for copies: one is kept; with more, run "murmur deploy --replicas 3"',
    )
    setup.wanted = { ...wanted, num_replicas: 1 }
    await add(setup)
  }
}

async function add({ manager, wanted, given, log }: Setup): Promise<void> {
  const { max_bytes } = wanted
  if (max_bytes === undefined || given.has("max_bytes")) await manager.streams.add(wanted)
  else await addWithinRoom(manager, { ...wanted, max_bytes }, log)
}

function whyNot(cause: unknown, { wanted, given }: Setup): string {
  const reason = (cause as Error).message
  if (apiCode(cause) === CONSUMERS_LIMIT) {
    return `${reason}: the stream may have ${wanted.max_consumers} consumers, so leave max_consumers of the account unlimited, or at least that`
  }
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

/** What is ours to change: an operator's retention is not, unless somebody asked for it. */
function differencesOf(found: StreamConfig, wanted: WantedStream, given: ReadonlySet<string>): Difference[] {
  const differences: Difference[] = []
  for (const [setting, value] of Object.entries(wanted)) {
    if (!given.has(setting) && RETENTION_SETTINGS.includes(setting)) continue
    const current = (found as unknown as Record<string, unknown>)[setting]
    if (JSON.stringify(current) !== JSON.stringify(value)) differences.push({ setting, found: current, wanted: value })
  }
  return differences
}
