import { z } from "zod"
import type { MurmurEvent } from "../bus/event.js"
import { HANDOFFS_MAX, Handoff, TaskResult } from "./delegation/task.js"

/** A question that waits for a person. */
export interface Question {
  readonly id: string
  readonly agent: string
  readonly key: string | undefined
  /** Id of the event whose step asks. */
  readonly step: string
  /** Which call of the step it is. */
  readonly position: number
  readonly question: string
  readonly choices: readonly string[] | undefined
  /** The answer when nobody gives one in time. */
  readonly default: string
  readonly until: string
  readonly askedAt: string
}

/** A step that is to go on at a time. */
export interface Timer {
  readonly agent: string
  readonly key: string | undefined
  readonly step: string
  readonly position: number
  readonly at: Date
}

/** What suspending a step needs of a node. */
export interface SuspensionPort {
  /** Makes sure that what is sent to an agent alone reaches it, timers that are due included. */
  openInbox(agent: string): Promise<void>
  /** Sets a timer; setting the same again changes nothing. */
  setTimer(timer: Timer): Promise<void>
  /** Takes back a timer that nobody needs any more. Where it cannot, the timer fires in vain. */
  clearTimer(timer: Omit<Timer, "at">): Promise<void>
  /** Shows a question to people, as an event and in the list of what is open; once, however often it is called. */
  ask(question: Question, event: MurmurEvent): Promise<void>
  /** Takes a question off the list. */
  answered(questionId: string, how: { answer: string; by: string | undefined }): Promise<void>
}

/** What is sent to an agent's inbox so that a suspended step goes on. */
export const Resume = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("wake"), step: z.string(), position: z.int() }),
  z.object({
    kind: z.literal("answer"),
    step: z.string(),
    position: z.int(),
    question: z.string(),
    answer: z.string(),
    by: z.string().optional(),
  }),
  z.object({
    kind: z.literal("result"),
    step: z.string(),
    position: z.int(),
    task: z.string(),
    result: TaskResult,
    /** To whom the task was handed on, newest last. */
    handoffs: z.array(Handoff).max(HANDOFFS_MAX),
  }),
])
export type Resume = z.infer<typeof Resume>

/**
 * Who may say that a step goes on: timers are handed over by the runtime, answers by the people at the command line. An
 * agent's own events can do neither, since a producer stands in the subject. Of a result only the journal of the step
 * that waits can tell whose it may be.
 */
const PRODUCERS: Record<Resume["kind"], string | undefined> = { wake: "murmur", answer: "cli", result: undefined }

/** What an inbox event says about a suspended step; `undefined` when it says nothing, or may not. */
export function readResume(carrier: MurmurEvent): Resume | undefined {
  const { data } = Resume.safeParse(carrier.data)
  return data !== undefined && (PRODUCERS[data.kind] ?? carrier.producer) === carrier.producer ? data : undefined
}

/** An event as a suspended step keeps it; `readInboxEvent` reads it. */
export function carried(event: MurmurEvent): unknown {
  const { seq: _, ...kept } = event
  return kept
}
