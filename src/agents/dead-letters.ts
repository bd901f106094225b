import { z } from "zod"
import { type CloudEventJson, type MurmurEvent, toCloudEvent } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"
import type { Publisher } from "../bus/publisher.js"
import type { MeshNames } from "../bus/subjects.js"
import { errorCode } from "../errors.js"
import { GuardTripped } from "./guards/guard-tripped.js"
import type { PastCall } from "./journal/attempts.js"

/** Why an event was given up. */
const DeadReason = z.enum(["malformed", "schema", "loop", "budget", "failed", "terminal", "died"])
export type DeadReason = z.infer<typeof DeadReason>

/** One attempt at a step that failed. */
export interface Attempt {
  /** When it began, RFC 3339. */
  readonly at: string
  readonly durationMs: number
  readonly code: string
  readonly message: string
}

const Issue = z.object({ path: z.string(), message: z.string() })

/** What a guard saw when it stopped a step. */
export const Tripped = z.object({
  guard: z.string(),
  /** Id of the root event of the tree. */
  root: z.string(),
  limit: z.number(),
  used: z.number(),
  refused: z.number().optional(),
  period: z.string().optional(),
  agent: z.string(),
  path: z.array(z.string()),
})

/** A dead letter as it is stored: the whole event and the whole reason. */
export const DeadLetter = z.object({
  /** The same for each time that this agent gives this event up. */
  id: z.string(),
  agent: z.string(),
  reason: DeadReason,
  at: z.string(),
  /** The event in the CloudEvents JSON format, with producer and sequence; its data is missing when it could not be read. */
  event: z.looseObject({
    id: z.string(),
    type: z.string(),
    subject: z.string().optional(),
    producer: z.string(),
    seq: z.number(),
  }),
  /** Why the event's data is not here. The event itself lies in the EVENTS stream under its sequence, while that is kept. */
  omitted: z.string().optional(),
  /** The payload as it came, base64, when it is no event. At most 64 KiB of it. */
  raw: z.string().optional(),
  error: z.object({
    code: z.string(),
    message: z.string(),
    issues: z.array(Issue).optional(),
    stack: z.string().optional(),
  }),
  /** What a guard saw, when one stopped the step. */
  guard: Tripped.optional(),
  attempts: z.array(z.object({ at: z.string(), durationMs: z.number(), code: z.string(), message: z.string() })),
  /** What the step had done: its journaled calls, in order, and whether each was answered. */
  calls: z.array(z.object({ call: z.string(), answered: z.boolean() })).optional(),
  traceId: z.string().nullable(),
})
export type DeadLetter = z.infer<typeof DeadLetter>

/** The id of the dead letter that an agent would write for an event. */
export function deadLetterId(agent: string, eventId: string): string {
  return derivedId("dead", agent, eventId)
}

/** What is known when an event is given up. */
export interface GivenUp {
  readonly agent: string
  readonly reason: DeadReason
  readonly event: CloudEventJson & { producer: string; seq: number }
  readonly key: string | undefined
  readonly error: Error
  readonly issues?: readonly { path: string; message: string }[] | undefined
  readonly attempts: readonly Attempt[]
  readonly calls?: readonly PastCall[] | undefined
  readonly raw?: Uint8Array | undefined
  readonly traceparent?: string | undefined
}

const RAW_BYTES_MAX = 64 * 1024
const TEXT_CHARS_MAX = 16 * 1024
const ISSUES_MAX = 100
/** The newest ones are kept. */
const ATTEMPTS_MAX = 50
const CALLS_MAX = 200

/** Writes dead letters. Resolves when the letter is stored: only then may its event be acked. */
export class DeadLetterWriter {
  constructor(
    private readonly publisher: Publisher,
    private readonly names: MeshNames,
    /** The one sink where secrets are taken out. */
    readonly redact: (text: string) => string,
  ) {}

  /**
   * Stores a letter. One that is too large for the server, or whose event cannot be JSON any more, is stored without the
   * event's data: a letter must never be what holds an agent up.
   */
  async write(given: GivenUp): Promise<DeadLetter> {
    const letter = this.#letter(given)
    const encoded = encodeLetter(letter)
    if (encoded === undefined) return this.#store(given, withoutData(letter, "it cannot be JSON"))
    try {
      return await this.#store(given, letter, encoded)
    } catch (error) {
      if (errorCode(error) !== "EVENT_TOO_LARGE") throw error
      return this.#store(given, withoutData(letter, `the letter would have ${encoded.length} bytes`))
    }
  }

  async #store(given: GivenUp, letter: DeadLetter, encoded = encodeLetter(letter)): Promise<DeadLetter> {
    const subject = this.names.deadSubject(given.agent, given.key)
    const id = `${letter.id}:${given.event.seq}`
    await this.publisher.append(subject, encoded ?? Buffer.from("{}"), undefined, { "Nats-Msg-Id": id })
    return letter
  }

  #letter(given: GivenUp): DeadLetter {
    return {
      id: deadLetterId(given.agent, given.event.id),
      agent: given.agent,
      reason: given.reason,
      at: new Date().toISOString(),
      event: given.event,
      error: this.#error(given),
      attempts: given.attempts
        .slice(-ATTEMPTS_MAX)
        .map((attempt) => ({ ...attempt, code: this.#text(attempt.code), message: this.#text(attempt.message) })),
      ...(given.calls && given.calls.length > 0 && { calls: given.calls.slice(-CALLS_MAX) }),
      traceId: given.traceparent?.split("-")[1] ?? null,
      ...(given.error instanceof GuardTripped && { guard: { ...given.error.trip, path: [...given.error.trip.path] } }),
      ...(given.raw && { raw: Buffer.from(given.raw.subarray(0, RAW_BYTES_MAX)).toString("base64") }),
    }
  }

  /** Without secrets, and no longer than somebody would read. */
  #text(text: string): string {
    return this.redact(text).slice(0, TEXT_CHARS_MAX)
  }

  #error(given: GivenUp): DeadLetter["error"] {
    const { error, issues } = given
    return {
      code: this.#text(errorCode(error)),
      message: this.#text(error.message),
      ...(issues && { issues: issues.slice(0, ISSUES_MAX) }),
      ...(error.stack && given.attempts.length > 0 && { stack: this.#text(error.stack) }),
    }
  }
}

/** The event as a dead letter holds it. */
export function letterEvent(event: MurmurEvent): GivenUp["event"] {
  return { ...toCloudEvent(event), producer: event.producer, seq: event.seq }
}

function encodeLetter(letter: DeadLetter): Uint8Array | undefined {
  try {
    return Buffer.from(JSON.stringify(letter))
  } catch {
    return undefined
  }
}

/** What names an event, each at most so long. */
const NAMING = ["specversion", "id", "source", "type", "subject", "time", "correlationid", "causationid", "traceparent"]
const NAMING_CHARS_MAX = 1_000

function withoutData(letter: DeadLetter, why: string): DeadLetter {
  const { id, type, subject, producer, seq, hops, trust } = letter.event
  const event: DeadLetter["event"] = {
    id,
    type,
    producer,
    seq,
    hops,
    trust,
    data: null,
    ...(subject !== undefined && { subject }),
  }
  for (const name of NAMING) {
    const value = letter.event[name]
    if (typeof value === "string") event[name] = value.slice(0, NAMING_CHARS_MAX)
  }
  const { raw: _, ...rest } = letter
  return { ...rest, event, omitted: `The event's data is not in this letter: ${why}` }
}
