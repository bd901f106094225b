import type { SealedEvent } from "../bus/encode.js"
import type { AgentState } from "./define-agent.js"
import { callHash, type JournalEntry, replayed, type StepJournal } from "./journal/journal.js"
import { type CommitRecord, parseSessionRecord } from "./sessions/record.js"
import { Session } from "./sessions/session.js"
import type { Sessions } from "./step.js"

/** Thrown into a handler after each new answer when a test replays always: the run is begun again. */
export class ReplayAgain extends Error {}

/** Journals in memory, for tests of agents. */
export class MemoryJournals {
  readonly #entries = new Map<string, JournalEntry[]>()
  #interrupted = false

  constructor(
    private readonly agent: string,
    private readonly replayAlways: boolean,
  ) {}

  /** Whether a run was broken off to be begun again, since it was last asked. */
  takeInterrupted(): boolean {
    const interrupted = this.#interrupted
    this.#interrupted = false
    return interrupted
  }

  async open(eventId: string): Promise<StepJournal> {
    const entries = this.#entries.get(eventId) ?? []
    this.#entries.set(eventId, entries)
    return {
      size: entries.length,
      call: async (position, call, input, work) => {
        const hash = callHash(call, input)
        const recorded = entries[position]
        if (recorded !== undefined) return replayed(recorded, call, hash, this.agent) as never
        const answer = await work()
        entries[position] = { position, call, hash, answer, at: new Date().toISOString() }
        if (!this.replayAlways) return answer
        this.#interrupted = true
        throw new ReplayAgain(`"${call}" is recorded; the step begins again`)
      },
    }
  }
}

/** Sessions in memory, for tests of agents. What is applied has been through JSON, as in the log. */
export class MemorySessions implements Sessions {
  readonly #sessions = new Map<string, Session>()

  constructor(
    private readonly definition: AgentState,
    private readonly publish: (event: SealedEvent) => void,
  ) {}

  async load(key: string | undefined): Promise<Session> {
    const name = key === undefined ? "-" : `=${key}`
    const session = this.#sessions.get(name) ?? new Session(`session "${key ?? "_"}"`, this.definition, 60_000)
    this.#sessions.set(name, session)
    return session
  }

  async commit(session: Session, record: CommitRecord): Promise<"stored"> {
    const data = Buffer.from(JSON.stringify(record))
    session.apply(parseSessionRecord(data, session.subject, session.seq + 1), session.seq + 1, data.length)
    return "stored"
  }

  async findCommit({ newest }: Session, causeId: string): Promise<CommitRecord | undefined> {
    return newest?.cause.id === causeId ? newest : undefined
  }

  forget(): void {}

  async publishMissing(outputs: readonly SealedEvent[]): Promise<void> {
    for (const output of outputs) this.publish(output)
  }
}
