import { createHash } from "node:crypto"
import { z } from "zod"
import type { Bus } from "../../bus/bus.js"
import { readHistory } from "../../bus/reader.js"
import { encodeKey } from "../../bus/subjects.js"
import { isMurmurError, MurmurError, RetryableError, TerminalError } from "../../errors.js"
import { crashPoint } from "../crash-points.js"

/** One call of a step, and its answer. */
const JournalEntry = z.object({
  /** Which call of the step it is, from 0. */
  position: z.number(),
  /** What was called: `run charge`. */
  call: z.string(),
  hash: z.string(),
  answer: z.unknown(),
  at: z.string(),
})
export type JournalEntry = z.infer<typeof JournalEntry>

/** A step asked for something else than it did before: its code changed, or it is not deterministic. */
export class NondeterminismError extends TerminalError {}

/** The journal as a step sees it. */
export interface StepJournal {
  /** How many answers it holds. */
  readonly size: number
  /**
   * Does something once: returns the recorded answer, or does it and records the answer.
   *
   * @param position which call of the step it is, from 0
   * @throws NondeterminismError when the recorded call at this position is another one
   * @throws RetryableError `STEP_TAKEN_OVER` when another node runs this step
   */
  call<T>(position: number, call: string, input: unknown, work: () => Promise<T> | T): Promise<T>
}

/**
 * What one step has asked and been answered so far. A step that runs again is given the recorded answers up to where it
 * had come: what was done once is not done again, and money is not spent twice.
 *
 * One writer by fence: of two nodes that run the same step, one is refused and gives way.
 */
export class Journal implements StepJournal {
  readonly #entries: JournalEntry[] = []
  #seq = 0
  #writing: Promise<unknown> = Promise.resolve()

  private constructor(
    private readonly bus: Bus,
    private readonly subject: string,
    private readonly agent: string,
  ) {}

  /** Reads the journal of a step. */
  static async open(bus: Bus, agent: string, eventId: string): Promise<Journal> {
    const journal = new Journal(bus, journalSubject(bus.names.mesh, agent, eventId), agent)
    const read = { stream: bus.names.steps, filter: journal.subject, from: { seq: 1 } }
    const last = await bus.link.manager.streams.getMessage(bus.names.steps, { last_by_subj: journal.subject })
    if (last === null) return journal
    for await (const message of readHistory(bus.link, read)) {
      const entry = parseEntry(message.data, journal.subject)
      journal.#entries[entry.position] = entry
      journal.#seq = message.seq
    }
    return journal
  }

  get size(): number {
    return this.#entries.length
  }

  async call<T>(position: number, call: string, input: unknown, work: () => Promise<T> | T): Promise<T> {
    const hash = callHash(call, input)
    const recorded = this.#entries[position]
    if (recorded !== undefined) return replayed(recorded, call, hash, this.agent) as T
    const working = work()
    crashPoint("P2")
    const answer = await working
    crashPoint("P3")
    const entry: JournalEntry = { position, call, hash, answer: answer ?? null, at: new Date().toISOString() }
    // calls that run side by side are recorded one after the other: each append is fenced by the one before
    const written = this.#writing.then(() => this.#append(entry))
    this.#writing = written.catch(() => {})
    await written
    crashPoint("P4")
    return answer
  }

  async #append(entry: JournalEntry): Promise<void> {
    const payload = Buffer.from(JSON.stringify(entry))
    try {
      const { seq } = await this.bus.publisher.append(this.subject, payload, this.#seq)
      this.#seq = seq
      this.#entries[entry.position] = entry
    } catch (error) {
      if (!isMurmurError(error) || error.code !== "FENCE_CONFLICT") throw error
      const last = await this.bus.link.manager.streams.getMessage(this.bus.names.steps, { last_by_subj: this.subject })
      if (last === null || !payload.equals(last.data)) throw takenOver(this.agent, error)
      this.#seq = last.seq // our own record: its ack was lost
      this.#entries[entry.position] = entry
    }
  }
}

/** The recorded answer, if it is the answer to this call. @throws NondeterminismError */
export function replayed(recorded: JournalEntry, call: string, hash: string, agent: string): unknown {
  if (recorded.hash === hash) return recorded.answer
  const asked = call === recorded.call ? `"${call}" with other input` : `"${call}"`
  throw new NondeterminismError(
    `"${agent}" did not repeat its step: call ${recorded.position} was "${recorded.call}" and is now ${asked}. The order and the input of journaled calls must follow from the event, the state and earlier answers alone`,
    { code: "NONDETERMINISM", details: { position: recorded.position, recorded: recorded.call, called: call } },
  )
}

/** Where the journal of a step lies. */
export function journalSubject(mesh: string, agent: string, eventId: string): string {
  return `${mesh}.step.${agent}.${encodeKey(eventId)}`
}

function takenOver(agent: string, cause: unknown): RetryableError {
  return new RetryableError(`Another node runs this step of "${agent}"`, {
    code: "STEP_TAKEN_OVER",
    cause,
    retryAfterMs: 250,
  })
}

/** Tells one call from another. */
export function callHash(call: string, input: unknown): string {
  return createHash("sha256")
    .update(call)
    .update("\u0000")
    .update(JSON.stringify(input) ?? "")
    .digest("base64url")
    .slice(0, 22)
}

function parseEntry(data: Uint8Array, subject: string): JournalEntry {
  try {
    return JournalEntry.parse(JSON.parse(Buffer.from(data).toString()))
  } catch (cause) {
    throw new MurmurError(`Cannot read the journal "${subject}": murmur did not write it, or a newer version did`, {
      code: "JOURNAL_RECORD",
      cause,
    })
  }
}
