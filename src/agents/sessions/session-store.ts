import type { RecordLog } from "../../bus/record-log.js"
import type { MeshNames } from "../../bus/subjects.js"
import { isMurmurError, TerminalError } from "../../errors.js"
import { type Clock, timeText } from "../clock.js"
import type { AgentState } from "../define-agent.js"
import {
  type CausesRecord,
  type CommitRecord,
  type GivenUpRecord,
  parseSessionRecord,
  type SessionRecord,
  type SnapshotRecord,
} from "./record.js"
import { Session, type StateDefinition } from "./session.js"

/** Causes are remembered as long as the EVENTS stream keeps events by default. */
const CAUSES_KEPT_MS = 30 * 86_400_000

/** What sessions stand on. */
export interface SessionPorts {
  readonly names: MeshNames
  readonly clock: Clock
  readonly log: RecordLog
}

/** The sessions of an agent. */
export function openSessions(ports: SessionPorts, agent: string, state: AgentState): SessionStore {
  const { snapshotEvery, keepCommits, warmBytesMax } = state
  const options = { agent, definition: state, causesKeptMs: CAUSES_KEPT_MS, snapshotEvery, keepCommits, warmBytesMax }
  return new SessionStore(ports, options)
}

export interface SessionStoreOptions {
  readonly agent: string
  readonly definition: StateDefinition
  /** How long committed causes are remembered: at least as long as EVENTS keeps events. */
  readonly causesKeptMs: number
  /** A snapshot is written after so many commits. */
  readonly snapshotEvery: number
  /** How many commits are kept behind the newest snapshot; infinity for all. */
  readonly keepCommits: number
  /** How many bytes of warm sessions are kept in memory; those used longest ago go first. */
  readonly warmBytesMax: number
}

/** How an append to a session ended: it is in the log, or another writer was first. */
export type CommitResult = "stored" | "conflict"

/** Reads and appends sessions of one agent, and keeps warm those used last. */
export class SessionStore {
  /** In order of use. */
  readonly #warm = new Map<string, Session>()
  #warmBytes = 0

  constructor(
    private readonly ports: SessionPorts,
    private readonly options: SessionStoreOptions,
  ) {}

  /** How many sessions are warm, and how many bytes they take. */
  get warm(): { readonly sessions: number; readonly bytes: number } {
    return { sessions: this.#warm.size, bytes: this.#warmBytes }
  }

  /** The session of a key, as its log is now or as this node last wrote it. */
  async load(key: string | undefined): Promise<Session> {
    const subject = this.ports.names.sessionSubject(this.options.agent, key)
    const warm = this.#warm.get(subject)
    if (warm !== undefined) {
      this.#warm.delete(subject)
      this.#warm.set(subject, warm)
      return warm
    }
    const session = await this.#fold(subject)
    this.#keep(session)
    return session
  }

  /** Forgets what is in memory: another writer was there, or may have been. */
  forget(key: string | undefined): void {
    this.#drop(this.ports.names.sessionSubject(this.options.agent, key))
  }

  /** The commit that an event caused, read from the log; `undefined` when it is not there (any more). */
  async findCommit(session: Session, causeId: string): Promise<CommitRecord | undefined> {
    for await (const record of this.#records(session)) {
      if (record.kind === "commit" && record.cause.id === causeId) return record
    }
    return undefined
  }

  /** How an event was given up, read from the log; the last time, when it was more than once. */
  async findGivenUp(session: Session, causeId: string): Promise<GivenUpRecord | undefined> {
    let found: GivenUpRecord | undefined
    for await (const record of this.#records(session)) {
      if (record.kind === "given-up" && record.cause.id === causeId) found = record
    }
    return found
  }

  async *#records({ subject, seq: to }: Session): AsyncGenerator<SessionRecord> {
    for await (const { data, seq } of this.ports.log.read(subject, { from: 1, to })) {
      yield parseSessionRecord(data, subject, seq)
    }
  }

  /** Forgets all sessions, as when the partition is lost. */
  forgetAll(): void {
    this.#warm.clear()
    this.#warmBytes = 0
  }

  /**
   * Appends a commit, or that an event is given up, fenced by what the session has seen. After a lost ack the repeat conflicts with our own record, so
   * a conflict is for the caller to look into: fold again, and see whose commit it is.
   */
  async commit(session: Session, record: CommitRecord | GivenUpRecord): Promise<CommitResult> {
    const before = session.bytes
    // not right behind the commit before: by now its outputs are published, and no one needs to find it any more
    const due = session.sinceSnapshot >= this.options.snapshotEvery
    if (due && !(await this.#snapshot(session))) return "conflict"
    if (!(await this.#append(session, { ...record, snapshot: session.snapshotSeq }))) return "conflict"
    this.#warmBytes += this.#warm.has(session.subject) ? session.bytes - before : 0
    this.#evict()
    return "stored"
  }

  async #append(session: Session, record: SessionRecord): Promise<boolean> {
    const payload = Buffer.from(JSON.stringify(record))
    try {
      const { seq } = await this.ports.log.append(session.subject, payload, session.seq)
      // its entries are as JSON gives them back, so memory and log cannot differ
      session.apply(record, seq, payload.length)
      return true
    } catch (error) {
      if (isMurmurError(error) && error.code === "FENCE_CONFLICT") return false
      throw error
    }
  }

  async #snapshot(session: Session): Promise<boolean> {
    const cut = await this.#cut(session)
    if (!(await this.#archive(session, cut))) return false
    const snapshot: SnapshotRecord = {
      kind: "snapshot",
      state: session.state,
      stateVersion: this.options.definition.version,
      causes: session.causes.toJSON(),
      commits: session.commits,
      at: timeText(this.ports.clock.now()),
    }
    if (!(await this.#append(session, snapshot))) return false
    if (cut !== undefined) await this.ports.log.deleteBefore(session.subject, cut)
    return true
  }

  /**
   * Writes causes into records of their own, so that no snapshot grows with them: those that have become too many, and
   * again those whose record is about to be deleted.
   */
  async #archive(session: Session, cut = 0): Promise<boolean> {
    const { causes } = session
    for (let older = causes.archivable; older !== undefined; older = causes.archivable) {
      if (!(await this.#append(session, this.#causesRecord(session, older.hashes)))) return false
      causes.archive(older, session.seq)
    }
    for (const [seq] of causes.archives) {
      if (seq >= cut) continue
      const record = await this.#readCauses(session.subject, seq)
      if (!(await this.#append(session, this.#causesRecord(session, record?.hashes ?? "")))) return false
      causes.moveArchive(seq, session.seq)
    }
    return true
  }

  #causesRecord({ snapshotSeq }: Session, hashes: string): CausesRecord {
    return { kind: "causes", hashes, snapshot: snapshotSeq, at: timeText(this.ports.clock.now()) }
  }

  async #readCauses(subject: string, seq: number): Promise<CausesRecord | undefined> {
    const message = await this.ports.log.at(seq)
    if (message?.subject !== subject) return undefined
    const record = parseSessionRecord(message.data, subject, seq)
    return record.kind === "causes" ? record : undefined
  }

  /**
   * Before which record the log may be deleted, so that at least as many commits are left before the next snapshot as are
   * to be kept. What is left begins with a snapshot: the state can be told at each of its commits.
   */
  async #cut({ subject, seq: newest }: Session): Promise<number | undefined> {
    const { keepCommits } = this.options
    if (!Number.isFinite(keepCommits)) return undefined
    let commits = 0
    const snapshots: { seq: number; commitsBefore: number }[] = []
    for await (const { seq, data } of this.ports.log.read(subject, { from: 1, to: newest })) {
      const { kind } = parseSessionRecord(data, subject, seq)
      if (kind === "snapshot") snapshots.push({ seq, commitsBefore: commits })
      else if (kind === "commit") commits += 1
    }
    return snapshots.findLast(({ commitsBefore }) => commits - commitsBefore >= keepCommits)?.seq
  }

  async #fold(subject: string): Promise<Session> {
    const { log } = this.ports
    const { definition, causesKeptMs } = this.options
    const session = new Session(subject, definition, causesKeptMs)
    const last = await log.last(subject)
    if (last === undefined) return session
    const newest = parseSessionRecord(last.data, subject, last.seq)
    const snapshotSeq = newest.kind === "snapshot" ? last.seq : newest.snapshot
    const usable = snapshotSeq > 0 ? await this.#readSnapshot(subject, snapshotSeq) : undefined
    if (usable !== undefined) session.restore(usable.record, snapshotSeq, usable.bytes)
    const from = usable === undefined ? 1 : snapshotSeq + 1
    if (from > last.seq) return this.#filled(session)
    for await (const { data, seq } of log.read(subject, { from })) {
      const record = parseSessionRecord(data, subject, seq)
      const trimmed = record.kind === "snapshot" && record.commits !== session.commits
      if (trimmed) session.restore(this.#migrated(record, subject), seq, data.length)
      else session.apply(record, seq, data.length)
    }
    return this.#filled(session)
  }

  async #filled(session: Session): Promise<Session> {
    const { causes, subject } = session
    const { archives } = causes
    const records = await Promise.all(archives.map(([seq]) => this.#readCauses(subject, seq)))
    for (const [n, [, newestAtMs]] of archives.entries()) causes.fill({ hashes: records[n]?.hashes ?? "", newestAtMs })
    return session
  }

  /** The first snapshot of a log that was trimmed: what made it is gone, so it has to fit today's state. */
  #migrated(record: SnapshotRecord, subject: string): SnapshotRecord {
    const { version, migrate } = this.options.definition
    if (record.stateVersion === version) return record
    if (migrate !== undefined) return { ...record, state: migrate(record.state, record.stateVersion) }
    throw new TerminalError(
      `Cannot read session "${subject}": its log was trimmed (state.keepCommits), what is left begins with state version ${record.stateVersion}, and the agent has version ${version}. Give the agent a state.migrate that turns the old state into the new one`,
      { code: "STATE_MIGRATE", details: { found: record.stateVersion, wanted: version } },
    )
  }

  /** The snapshot at a sequence, unless it was made by another version of the state. */
  async #readSnapshot(subject: string, seq: number): Promise<{ record: SnapshotRecord; bytes: number } | undefined> {
    const message = await this.ports.log.at(seq)
    if (message?.subject !== subject) return undefined
    const record = parseSessionRecord(message.data, subject, seq)
    if (record.kind !== "snapshot" || record.stateVersion !== this.options.definition.version) return undefined
    return { record, bytes: message.data.length }
  }

  #keep(session: Session): void {
    this.#warm.set(session.subject, session)
    this.#warmBytes += session.bytes
    this.#evict()
  }

  #evict(): void {
    for (const [subject] of this.#warm) {
      if (this.#warmBytes <= this.options.warmBytesMax || this.#warm.size <= 1) return
      this.#drop(subject)
    }
  }

  #drop(subject: string): void {
    const session = this.#warm.get(subject)
    if (session === undefined) return
    this.#warm.delete(subject)
    this.#warmBytes -= session.bytes
  }
}
