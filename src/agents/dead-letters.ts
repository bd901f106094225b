import { z } from "zod"
import { type CloudEventJson, type MurmurEvent, toCloudEvent } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"
import type { Publisher } from "../bus/publisher.js"
import type { MeshNames } from "../bus/subjects.js"
import { errorCode } from "../errors.js"

/** Why an event was given up. */
export type DeadReason = "malformed" | "schema" | "loop" | "failed" | "terminal"

/** One attempt at a step that failed. */
export interface Attempt {
  /** When it began, RFC 3339. */
  readonly at: string
  readonly durationMs: number
  readonly code: string
  readonly message: string
}

const Issue = z.object({ path: z.string(), message: z.string() })

/** A dead letter as it is stored: the whole event and the whole reason. */
export const DeadLetter = z.object({
  /** The same for each time that this agent gives this event up. */
  id: z.string(),
  agent: z.string(),
  reason: z.enum(["malformed", "schema", "loop", "failed", "terminal"]),
  at: z.string(),
  /** The event in the CloudEvents JSON format, with producer and sequence; its data is missing when it could not be read. */
  event: z.looseObject({
    id: z.string(),
    type: z.string(),
    subject: z.string().optional(),
    producer: z.string(),
    seq: z.number(),
  }),
  /** The payload as it came, base64, when it is no event. At most 64 KiB of it. */
  raw: z.string().optional(),
  error: z.object({
    code: z.string(),
    message: z.string(),
    issues: z.array(Issue).optional(),
    stack: z.string().optional(),
  }),
  attempts: z.array(z.object({ at: z.string(), durationMs: z.number(), code: z.string(), message: z.string() })),
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
  readonly raw?: Uint8Array | undefined
  readonly traceparent?: string | undefined
}

const RAW_BYTES_MAX = 64 * 1024

/** Writes dead letters. Resolves when the letter is stored: only then may its event be acked. */
export class DeadLetterWriter {
  constructor(
    private readonly publisher: Publisher,
    private readonly names: MeshNames,
    /** The one sink where secrets are taken out. */
    readonly redact: (text: string) => string,
  ) {}

  async write(given: GivenUp): Promise<DeadLetter> {
    const letter: DeadLetter = {
      id: deadLetterId(given.agent, given.event.id),
      agent: given.agent,
      reason: given.reason,
      at: new Date().toISOString(),
      event: given.event,
      error: this.#error(given),
      attempts: given.attempts.map((attempt) => ({ ...attempt, message: this.redact(attempt.message) })),
      traceId: given.traceparent?.split("-")[1] ?? null,
      ...(given.raw && { raw: Buffer.from(given.raw.subarray(0, RAW_BYTES_MAX)).toString("base64") }),
    }
    const subject = this.names.deadSubject(given.agent, given.key)
    const id = `${letter.id}:${given.event.seq}`
    await this.publisher.append(subject, Buffer.from(JSON.stringify(letter)), undefined, { "Nats-Msg-Id": id })
    return letter
  }

  #error(given: GivenUp): DeadLetter["error"] {
    const { error, issues } = given
    return {
      code: errorCode(error),
      message: this.redact(error.message),
      ...(issues && { issues: [...issues] }),
      ...(error.stack && given.attempts.length > 0 && { stack: this.redact(error.stack) }),
    }
  }
}

/** The event as a dead letter holds it. */
export function letterEvent(event: MurmurEvent): GivenUp["event"] {
  return { ...toCloudEvent(event), producer: event.producer, seq: event.seq }
}
