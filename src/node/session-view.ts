import { applyChanges, type Change, changesBetween } from "../agents/sessions/changes.js"
import { parseSessionRecord, type StepUsage } from "../agents/sessions/record.js"
import type { BusCore } from "../bus/bus-core.js"
import { readHistory } from "../bus/reader.js"
import { streamInfo } from "../bus/streams.js"
import { MurmurError } from "../errors.js"

/** A point in a session's log: a sequence, a time, or its end. */
export type SessionPoint = { readonly seq: number } | { readonly time: Date } | "end"

/** One commit of a session, as people and scripts see it. */
export interface CommitView {
  readonly seq: number
  readonly at: string
  readonly cause: { readonly id: string; readonly type: string }
  readonly entries: readonly { readonly name: string; readonly data: unknown }[]
  readonly outputs: readonly {
    readonly id: string
    readonly type: string
    readonly key: string | null
    readonly data: unknown
  }[]
  /** What models have cost in its step. */
  readonly usage?: StepUsage
  readonly attempt: number
  /** Which code of the agent made it. */
  readonly code: string
}

/** A session as of a point in its log. */
export interface SessionView {
  readonly agent: string
  readonly key: string | null
  /** Sequence of the last commit that is part of it; 0 when there is none yet. */
  readonly seq: number
  readonly state: unknown
  readonly commits: readonly CommitView[]
}

/**
 * Reads a session as of a point in its log. The state is put together from what each commit says it changed, so it is
 * what the agent knew then, whatever its code says today.
 *
 * @throws MurmurError `SESSION_NOT_FOUND` when nothing was ever committed for this key, `SESSION_TRIMMED` when what it
 *   was then is deleted
 */
export async function readSession(
  bus: BusCore,
  agent: string,
  key: string | undefined,
  at: SessionPoint,
  signal?: AbortSignal,
): Promise<SessionView> {
  const subject = bus.names.sessionSubject(agent, key)
  const commits: CommitView[] = []
  let state: unknown = null
  let found = false
  const stream = bus.names.sessionsOf(agent)
  const { manager, rights } = bus.link
  if (!rights.restricted && (await streamInfo(manager, stream)) === undefined) throw notFound(agent, key)
  const read = { stream, filter: subject, from: { seq: 1 }, signal }
  for await (const message of readHistory(bus.link, read)) {
    const record = parseSessionRecord(message.data, subject, message.seq)
    const past = isPast(at, message.seq, message.time)
    // what begins with a snapshot is not the beginning
    if (past && !found && record.kind === "snapshot") throw trimmed(agent, key, message)
    found = true
    if (past) break
    if (record.kind === "snapshot") {
      state = record.state
      continue
    }
    if (record.kind !== "commit") continue // what was given up is in the dead letters, and changed nothing
    state = applyChanges(state, record.changes)
    commits.push({
      seq: message.seq,
      at: record.at,
      cause: { id: record.cause.id, type: record.cause.type },
      entries: record.entries,
      outputs: record.outputs.map(({ id, type, key: of, data }) => ({ id, type, key: of ?? null, data })),
      ...(record.usage !== undefined && { usage: record.usage }),
      attempt: record.attempt,
      code: record.code,
    })
  }
  if (!found) throw notFound(agent, key)
  return { agent, key: key ?? null, seq: commits.at(-1)?.seq ?? 0, state, commits }
}

/** What is different between two points of a session. */
export async function diffSession(
  bus: BusCore,
  agent: string,
  key: string | undefined,
  from: SessionPoint,
  to: SessionPoint,
  signal?: AbortSignal,
): Promise<{
  readonly from: number
  readonly to: number
  readonly changes: readonly Change[]
  readonly commits: readonly CommitView[]
}> {
  const before = await readSession(bus, agent, key, from, signal)
  const after = await readSession(bus, agent, key, to, signal)
  const commits = after.commits.filter(({ seq }) => seq > before.seq)
  return { from: before.seq, to: after.seq, changes: changesBetween(before.state, after.state), commits }
}

function isPast(at: SessionPoint, seq: number, time: Date): boolean {
  if (at === "end") return false
  return "seq" in at ? seq > at.seq : time > at.time
}

function notFound(agent: string, key: string | undefined): MurmurError {
  const what = key === undefined ? "no key" : `key "${key}"`
  return new MurmurError(
    `Cannot show the session of agent "${agent}" for ${what}: nothing was committed for it. "murmur agents" lists agents; only agents with "state" have sessions`,
    { code: "SESSION_NOT_FOUND", details: { agent, key: key ?? null } },
  )
}

function trimmed(
  agent: string,
  key: string | undefined,
  first: { readonly seq: number; readonly time: Date },
): MurmurError {
  const session = key === undefined ? `of "${agent}"` : `"${key}" of "${agent}"`
  return new MurmurError(
    `Cannot show session ${session} as of then: its older commits are deleted (state.keepCommits), what is kept begins at ${first.seq}, ${first.time.toISOString()}`,
    { code: "SESSION_TRIMMED", details: { agent, key: key ?? null, from: first.seq } },
  )
}
