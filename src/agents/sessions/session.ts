import { MurmurError } from "../../errors.js"
import { Causes } from "./causes.js"
import type { CommitRecord, SessionRecord, StateEntry } from "./record.js"

/** How a session's state is made: a beginning, and what each kind of entry does to it. */
export interface StateDefinition {
  readonly initial: unknown
  readonly evolve: Readonly<Record<string, (state: never, data: never) => unknown>>
  /** Raise it when `evolve` means something else: snapshots of other versions are not used. */
  readonly version: number
  /** Turns the state of an older version into one of this version, where the log that made it was trimmed. */
  readonly migrate?: ((state: unknown, version: number) => unknown) | undefined
}

/**
 * One agent for one key: the actor. Its state is the fold of its log and nothing else, so a session that is forgotten
 * here is the same when it is read again.
 */
export class Session {
  readonly causes: Causes
  #state: unknown
  /** Sequence of the newest record: the fence of the next commit. */
  #seq = 0
  #commits = 0
  #sinceSnapshot = 0
  #snapshotSeq = 0
  #newest: CommitRecord | undefined
  #bytes = 0

  constructor(
    readonly subject: string,
    private readonly definition: StateDefinition,
    causesKeptMs: number,
  ) {
    this.causes = new Causes(causesKeptMs)
    this.#state = definition.initial
  }

  get state(): unknown {
    return this.#state
  }

  get seq(): number {
    return this.#seq
  }

  /** How many commits it has. */
  get commits(): number {
    return this.#commits
  }

  get sinceSnapshot(): number {
    return this.#sinceSnapshot
  }

  get snapshotSeq(): number {
    return this.#snapshotSeq
  }

  /** The newest commit, unless the log was read from a snapshot behind it. */
  get newest(): CommitRecord | undefined {
    return this.#newest
  }

  /** Whether no commit has told the state yet as this version of the agent's code makes it. */
  get isFirst(): boolean {
    return this.#commits === 0 || (this.#newest !== undefined && this.#newest.stateVersion !== this.definition.version)
  }

  /** About how much memory it takes. */
  get bytes(): number {
    return 400 + this.#bytes + this.causes.size * 60
  }

  /** Takes the next record of its log. */
  apply(record: SessionRecord, seq: number, bytes: number): void {
    this.#seq = seq
    if (record.kind === "snapshot") {
      this.#snapshotSeq = seq
      this.#sinceSnapshot = 0
      this.#bytes = bytes
      return
    }
    if (record.kind === "causes") return // what it holds is held here, or told by a snapshot
    const { id, seq: at, at: storedAt } = record.cause
    const storedAtMs = storedAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(storedAt)
    const cause = { id, seq: at, storedAtMs }
    this.#bytes += bytes
    if (record.kind === "given-up") {
      this.causes.giveUp(cause, record.broughtBy, Date.parse(record.at))
      return
    }
    for (const entry of record.entries) {
      if (this.#isForgotten(entry)) continue
      this.#state = evolve(this.definition, this.#state, entry, this.subject)
    }
    this.causes.add(cause, Date.parse(record.at))
    this.#commits += 1
    this.#sinceSnapshot += 1
    this.#newest = record
  }

  /** An entry of ours that this definition has no use for: its agent had a conversation once. */
  #isForgotten({ name }: StateEntry): boolean {
    return name.startsWith("murmur.") && !Object.hasOwn(this.definition.evolve, name)
  }

  /** Begins at a snapshot instead of at nothing. */
  restore(snapshot: Extract<SessionRecord, { kind: "snapshot" }>, seq: number, bytes: number): void {
    this.#state = snapshot.state
    this.#commits = snapshot.commits
    this.causes.restore(snapshot.causes)
    this.apply(snapshot, seq, bytes)
  }
}

/** @throws MurmurError `STATE_ENTRY` when no `evolve` knows the entry */
export function evolve(definition: StateDefinition, state: unknown, entry: StateEntry, where: string): unknown {
  const step = Object.hasOwn(definition.evolve, entry.name) ? definition.evolve[entry.name] : undefined
  if (step === undefined) {
    const known = Object.keys(definition.evolve).join(", ") || "none"
    throw new MurmurError(
      `Cannot apply entry "${entry.name}" to ${where}: "evolve" does not know it (known: ${known})`,
      {
        code: "STATE_ENTRY",
        details: { entry: entry.name },
      },
    )
  }
  return step(state as never, entry.data as never)
}
