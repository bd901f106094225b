import { z } from "zod"
import { encodeKey } from "../../bus/subjects.js"
import { MurmurError } from "../../errors.js"
import { TaskResult } from "../delegation/task.js"

/** Which call of a step a record is about. */
const Call = {
  /** Which call of the step it is, from 0. Below 0: a question about a call, not asked by the handler. */
  position: z.int(),
  /** What was called: `run charge`. */
  call: z.string(),
  /** Tells this call from others, its input included. */
  hash: z.string(),
  /** Which attempt wrote it; 0 when none did: what was waited for has come. */
  attempt: z.int().min(0),
  at: z.string(),
}

/** A call has begun. What it does is under way, or was when its process died. */
const Begun = z.object({ kind: z.literal("begun"), ...Call })

/** A call is answered: it is not made again. */
const Answer = z.object({
  kind: z.literal("answer"),
  ...Call,
  answer: z.unknown(),
  /** Of what was waited for: sequence of the inbox event that brought it. */
  by: z.number().optional(),
  /** It is answered with an error, for good. */
  error: z.object({ code: z.string(), message: z.string() }).optional(),
})

/** A call that had begun is known to have had no effect: it may be made again. */
const Undone = z.object({ kind: z.literal("undone"), ...Call })

/** Tasks that were given to other agents. */
const TaskWait = z.object({
  kind: z.literal("task"),
  /** When enough results have come. */
  mode: z.enum(["all", "first", "majority", "agreement"]),
  tasks: z.array(z.object({ id: z.string(), agent: z.string(), key: z.string() })),
  /** When they were given. */
  from: z.string(),
  until: z.string(),
})
export type TaskWait = z.infer<typeof TaskWait>

/** What a suspended step waits for. */
export const Wait = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("sleep"), until: z.string() }),
  z.object({
    kind: z.literal("ask"),
    id: z.string(),
    question: z.string(),
    choices: z.array(z.string()).optional(),
    /** The answer when nobody gives one in time. */
    default: z.string(),
    until: z.string(),
  }),
  TaskWait,
])
export type Wait = z.infer<typeof Wait>

/**
 * A step is suspended. The record holds all that is needed to go on, since it may outlive what was written before it:
 * the event, and every answer so far.
 */
const Waiting = z.object({
  kind: z.literal("waiting"),
  ...Call,
  wait: Wait,
  event: z.unknown(),
  storedAt: z.string(),
  answers: z.array(Answer),
})

/** The result of one of the tasks that are waited for; more must come. */
const Came = z.object({
  kind: z.literal("came"),
  ...Call,
  task: z.string(),
  result: TaskResult,
  traceparent: z.string().optional(),
})

/** An attempt begins. Written only after a death, when it has to be known what was under way. */
const AttemptBegun = z.object({ kind: z.literal("attempt"), attempt: z.number(), node: z.string(), at: z.string() })

/** How an attempt ended, or all of them: what is `given-up` is in the dead letters, what is `done` is not waited for. */
const Ended = z.object({
  kind: z.literal("ended"),
  attempt: z.number(),
  outcome: z.enum(["failed", "stopped", "suspended", "given-up", "done"]),
  at: z.string(),
  durationMs: z.number().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
})

const JournalRecord = z.discriminatedUnion("kind", [Begun, Answer, Undone, Waiting, Came, AttemptBegun, Ended])
export type JournalRecord = z.infer<typeof JournalRecord>
export type AnswerRecord = z.infer<typeof Answer>
export type BegunRecord = z.infer<typeof Begun>
export type WaitingRecord = z.infer<typeof Waiting>
export type EndedRecord = z.infer<typeof Ended>

/** Where the journal of a step lies. */
export function journalSubject(mesh: string, agent: string, eventId: string): string {
  return `${mesh}.step.${agent}.${encodeKey(eventId)}`
}

export function encodeRecord(record: JournalRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record))
}

/** @throws MurmurError `JOURNAL_RECORD` when murmur did not write it */
export function parseRecord(data: Uint8Array, subject: string): JournalRecord {
  try {
    return JournalRecord.parse(JSON.parse(Buffer.from(data).toString()))
  } catch (cause) {
    throw new MurmurError(`Cannot read the journal "${subject}": murmur did not write it, or a newer version did`, {
      code: "JOURNAL_RECORD",
      cause,
    })
  }
}
