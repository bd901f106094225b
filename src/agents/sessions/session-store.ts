import type { Bus } from "../../bus/bus.js"
import type { SealedEvent } from "../../bus/encode.js"
import { readHistory } from "../../bus/reader.js"
import { isMurmurError } from "../../errors.js"
import type { AgentState } from "../define-agent.js"
import { publishMissing } from "../publish-missing.js"
import { type CommitRecord, parseSessionRecord, type SessionRecord, type SnapshotRecord } from "./record.js"
import { Session, type StateDefinition } from "./session.js"

/** Causes are remembered as long as the EVENTS stream keeps events by default. */
const CAUSES_KEPT_MS = 30 * 86_400_000

/** The sessions of an agent. */
export function openSessions(bus: Bus, agent: string, state: AgentState): SessionStore {
  const { snapshotEvery, warmBytesMax } = state
  return new SessionStore(bus, { agent, definition: state, causesKeptMs: CAUSES_KEPT_MS, snapshotEvery, warmBytesMax })
}

export interface SessionStoreOptions {
  readonly agent: string
  readonly definition: StateDefinition
  /** How long committed causes are remembered: at least as long as EVENTS keeps events. */
  readonly causesKeptMs: number
  /** A snapshot is written after so many commits. */
  readonly snapshotEvery: number
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
    private readonly bus: Bus,
    private readonly options: SessionStoreOptions,
  ) {}

  /** How many sessions are warm, and how many bytes they take. */
  get warm(): { readonly sessions: number; readonly bytes: number } {
    return { sessions: this.#warm.size, bytes: this.#warmBytes }
  }

  /** The session of a key, as its log is now or as this node last wrote it. */
  async load(key: string | undefined): Promise<Session> {
    const subject = this.bus.names.sessionSubject(this.options.agent, key)
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
    this.#drop(this.bus.names.sessionSubject(this.options.agent, key))
  }

  /** Publishes those outputs of a stored commit that are not on the bus yet. */
  publishMissing(outputs: readonly SealedEvent[], since: Date): Promise<void> {
    return publishMissing(this.bus, this.options.agent, outputs, since)
  }

  /** The commit that an event caused, read from the log; `undefined` when it is not there (any more). */
  async findCommit(session: Session, causeId: string): Promise<CommitRecord | undefined> {
    const read = { stream: this.bus.names.sessions, filter: session.subject, from: { seq: 1 }, toSeq: session.seq }
    for await (const message of readHistory(this.bus.link, read)) {
      const record = parseSessionRecord(message.data, session.subject, message.seq)
      if (record.kind === "commit" && record.cause.id === causeId) return record
    }
    return undefined
  }

  /** Forgets all sessions, as when the partition is lost. */
  forgetAll(): void {
    this.#warm.clear()
    this.#warmBytes = 0
  }

  /**
   * Appends a commit, fenced by what the session has seen. After a lost ack the repeat conflicts with our own record, so
   * a conflict is for the caller to look into: fold again, and see whose commit it is.
   */
  async commit(session: Session, record: CommitRecord): Promise<CommitResult> {
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
      const { seq } = await this.bus.publisher.append(session.subject, payload, session.seq)
      // folded from what was stored, so that memory and log cannot differ
      session.apply(parseSessionRecord(payload, session.subject, seq), seq, payload.length)
      return true
    } catch (error) {
      if (isMurmurError(error) && error.code === "FENCE_CONFLICT") return false
      throw error
    }
  }

  #snapshot(session: Session): Promise<boolean> {
    const snapshot: SnapshotRecord = {
      kind: "snapshot",
      state: session.state,
      stateVersion: this.options.definition.version,
      causes: session.causes.toJSON(),
      commits: session.commits,
      at: new Date().toISOString(),
    }
    return this.#append(session, snapshot)
  }

  async #fold(subject: string): Promise<Session> {
    const { names, link } = this.bus
    const { definition, causesKeptMs } = this.options
    const session = new Session(subject, definition, causesKeptMs)
    const last = await link.manager.streams.getMessage(names.sessions, { last_by_subj: subject })
    if (last === null) return session
    const newest = parseSessionRecord(last.data, subject, last.seq)
    const snapshotSeq = newest.kind === "snapshot" ? last.seq : newest.snapshot
    const usable = snapshotSeq > 0 ? await this.#readSnapshot(subject, snapshotSeq) : undefined
    if (usable !== undefined) session.restore(usable.record, snapshotSeq, usable.bytes)
    const from = usable === undefined ? 1 : snapshotSeq + 1
    if (from > last.seq) return session
    const read = { stream: names.sessions, filter: subject, from: { seq: from } }
    for await (const message of readHistory(link, read)) {
      session.apply(parseSessionRecord(message.data, subject, message.seq), message.seq, message.data.length)
    }
    return session
  }

  /** The snapshot at a sequence, unless it was made by another version of the state. */
  async #readSnapshot(subject: string, seq: number): Promise<{ record: SnapshotRecord; bytes: number } | undefined> {
    const message = await this.bus.link.manager.streams.getMessage(this.bus.names.sessions, { seq })
    if (message === null || message.subject !== subject) return undefined
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
