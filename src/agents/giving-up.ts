import { ensureError, errorCode } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import { burialPorts, bury } from "./burial.js"
import { isBusTrouble } from "./bus-trouble.js"
import { timeText } from "./clock.js"
import { type Attempt, type DeadReason, type GivenUp, letterEvent } from "./dead-letters.js"
import type { OpenJournal } from "./effects.js"
import { GuardTripped } from "./guards/guard-tripped.js"
import type { AgentStats } from "./host.js"
import { originalOf } from "./original-event.js"
import { persistently } from "./persistently.js"
import type { HandlerPorts } from "./ports.js"
import type { GivenUpRecord } from "./sessions/record.js"
import type { Session } from "./sessions/session.js"
import { causeOf, isCommitted } from "./step-cause.js"
import type { Sessions, StepInput } from "./step-ports.js"

/** Why a step is given up. */
export interface Reason {
  readonly reason: DeadReason
  readonly error: Error
  readonly attempts: readonly Attempt[]
}

/** `committed`: it cannot be given up, it is in effect. `left`: the node stops. */
export type GivingUpEnd = "given-up" | "committed" | "left"

export interface GivingUpParts {
  readonly ports: HandlerPorts
  readonly sessions: Sessions | undefined
  readonly openJournal: OpenJournal
  readonly stats: AgentStats
  readonly log: Log
  readonly stopping: AbortSignal
}

const RETRY_MS_MAX = 5_000

/**
 * Gives events up. For an agent with state that is fenced as its commits are: first a record in the session's log says
 * so, then the dead letter is written. So an event is committed or given up, never both, whichever nodes try.
 */
export class GivingUp {
  constructor(
    private readonly agent: string,
    private readonly parts: GivingUpParts,
  ) {}

  /** Never rejects. */
  async giveUp(input: StepInput, why: Reason): Promise<GivingUpEnd> {
    const { sessions } = this.parts
    if (sessions !== undefined) {
      const end = await this.#persistently(() => this.#fence(sessions, input, why))
      if (end !== "given-up") return end
    }
    return this.#lay(input, why)
  }

  /**
   * A step that was given up came once more. Who gave it up may have died before it had written the letter; when the
   * letter is there, the journal says so.
   */
  async again(input: StepInput): Promise<GivingUpEnd> {
    const { sessions, openJournal } = this.parts
    const written = await this.#persistently(async () => (await openJournal(input.event.id)).givenUp)
    if (written === "left") return "left"
    if (written || sessions === undefined) return "given-up"
    const record = await this.#persistently(async () => {
      return sessions.findGivenUp(await sessions.load(input.event.key), input.event.id)
    })
    if (record === "left") return "left"
    if (record === undefined) return "given-up"
    const error = Object.assign(new Error(record.error.message), { code: record.error.code })
    return this.#lay(input, { reason: record.reason as DeadReason, error, attempts: [] })
  }

  /** One append, by the same fence as commits. */
  async #fence(sessions: Sessions, input: StepInput, { reason, error }: Reason): Promise<GivingUpEnd> {
    const { clock, deadLetters } = this.parts.ports
    const { event } = input
    for (;;) {
      const session = await readable(sessions, input)
      if (session === undefined) return "given-up"
      if (isCommitted(session, input)) return "committed"
      const record: GivenUpRecord = {
        kind: "given-up",
        cause: causeOf(input),
        broughtBy: event.seq,
        reason,
        error: { code: deadLetters.redact(errorCode(error)), message: deadLetters.redact(error.message) },
        snapshot: session.snapshotSeq,
        at: timeText(clock.now()),
      }
      if (session.causes.givenUpBy(event.id) === event.seq) return "given-up"
      if ((await sessions.commit(session, record)) === "stored") return "given-up"
      sessions.forget(event.key)
    }
  }

  /** Writes the dead letter, and that it is written. */
  async #lay(input: StepInput, { reason, error, attempts }: Reason): Promise<GivingUpEnd> {
    const { event } = input
    const letter = letterEvent(await originalOf(event, this.parts.ports))
    const calls = (await input.journal?.catch(() => undefined))?.calls
    const given: GivenUp = { agent: this.agent, reason, event: letter, key: event.key, error, attempts, calls }
    const { ports, stats, log, stopping } = this.parts
    const traceparent = event.trace?.traceparent
    if (!(await bury({ ...given, traceparent }, burialPorts({ ports, stats, log }), stopping))) return "left"
    // a step that guards kept from its first attempt has no journal, and needs none
    if (input.journal !== undefined || !(error instanceof GuardTripped)) await this.#note(input, attempts.length)
    return "given-up"
  }

  /** When the letter is sent back, its attempts count anew. What was answered stays answered. */
  async #note(input: StepInput, attempt: number): Promise<void> {
    try {
      const journal = await (input.journal ?? this.parts.openJournal(input.event.id))
      await journal.end({ attempt, outcome: "given-up" })
    } catch (thrown) {
      const error = ensureError(thrown)
      this.parts.log.debug({ event: input.event.id, error }, "cannot note that an event was given up")
    }
  }

  async #persistently<T>(work: () => Promise<T>): Promise<T | "left"> {
    const { stopping, log, ports } = this.parts
    const onFailure = (error: Error): void => log.warn({ error }, "cannot give an event up; trying again")
    const how = { clock: ports.clock, stopping, firstMs: 100, maxMs: RETRY_MS_MAX, onFailure }
    return persistently(work, how).catch(() => "left" as const)
  }
}

/**
 * The session, unless it cannot be read for good (no way to migrate it, a record of a newer version): then nobody can
 * commit to it either.
 */
async function readable(sessions: Sessions, { event }: StepInput): Promise<Session | undefined> {
  try {
    return await sessions.load(event.key)
  } catch (error) {
    if (isBusTrouble(error)) throw error
    return undefined
  }
}
