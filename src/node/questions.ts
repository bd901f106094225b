import { z } from "zod"
import { inboxType } from "../agents/host.js"
import type { Resume } from "../agents/suspension.js"
import type { BusCore } from "../bus/bus-core.js"
import { derivedId } from "../bus/ids.js"
import { MurmurError } from "../errors.js"
import { type AnswerTaken, findAnswer } from "./answers.js"
import { readAll } from "./buckets.js"

/** A question that waits for a person, as it is stored. */
export const QuestionRecord = z.object({
  id: z.string(),
  agent: z.string(),
  key: z.string().optional(),
  /** Id of the event whose step asks. */
  step: z.string(),
  /** Which call of the step it is. */
  position: z.int(),
  question: z.string(),
  choices: z.array(z.string()).optional(),
  /** The answer when nobody gives one in time. */
  default: z.string(),
  until: z.string(),
  askedAt: z.string(),
  /** Root of the causal tree. */
  correlationid: z.string(),
})
export type QuestionRecord = z.infer<typeof QuestionRecord>

/** How a question is answered. */
export interface AnswerOptions {
  /** Who answers. */
  readonly by: string
  /** How long to wait until the answer is taken, in milliseconds. Default 10_000. */
  readonly takenMs?: number
  /** How long to try to publish the answer, in milliseconds. Default 10_000. */
  readonly publishMs?: number
  /** Ends the waiting; what was published stays. */
  readonly signal?: AbortSignal
}

/** What became of an answer. */
export interface Answered {
  readonly question: QuestionRecord
  /** What the question was answered with: the first answer wins. `undefined` when nobody has taken one yet. */
  readonly taken: AnswerTaken | undefined
}

/** How many characters of an id name a question, as a person types it. */
const PREFIX_MIN = 6
const SHOWN_MAX = 5
const LOOK_EVERY_MS = 50

/** The questions that wait for a person, the one whose time is up first before the others. */
export async function openQuestions(bus: BusCore): Promise<QuestionRecord[]> {
  const questions = await readAll(await bus.bucket("questions"), QuestionRecord)
  return questions.toSorted((a, b) => (a.until < b.until ? -1 : 1))
}

/**
 * Answers a question, and waits until its step has taken an answer: this one, or one that was first. The same answer
 * given again is stored once.
 *
 * @param id the question's, or its first characters (at least six)
 * @throws MurmurError `QUESTION_UNKNOWN`, `QUESTION_AMBIGUOUS`, `QUESTION_CHOICE`; `QUESTION_ANSWERED` with what it was
 *   answered with
 * @example
 * const { taken } = await answerQuestion(bus, "7Rj0aZ", "yes", { by: "ada" })
 */
export async function answerQuestion(
  bus: BusCore,
  id: string,
  answer: string,
  options: AnswerOptions,
): Promise<Answered> {
  const question = await findQuestion(bus, id, options.signal)
  checkChoice(question, answer)
  const { agent, key, step, position } = question
  const data: Resume = { kind: "answer", step, position, question: question.id, answer, by: options.by }
  const draft = { id: derivedId("answer", question.id, answer, options.by), type: inboxType(agent), key, data }
  await bus.publish(draft, { producer: "cli", timeoutMs: options.publishMs ?? 10_000 })
  return { question, taken: await untilTaken(bus, question, options) }
}

/** The open question of an id. */
async function findQuestion(bus: BusCore, id: string, signal: AbortSignal | undefined): Promise<QuestionRecord> {
  const all = await openQuestions(bus)
  const exact = all.filter((question) => question.id === id)
  const isMeant = (full: string): boolean => full === id || (id.length >= PREFIX_MIN && full.startsWith(id))
  const [first, second, ...more] = exact.length > 0 ? exact : all.filter((question) => isMeant(question.id))
  if (first !== undefined && second === undefined) return first
  if (first !== undefined && second !== undefined) {
    const ids = [first, second, ...more].slice(0, SHOWN_MAX).map((question) => question.id)
    throw new MurmurError(`Several open questions begin with "${id}": ${ids.join(", ")}`, {
      code: "QUESTION_AMBIGUOUS",
      details: { id },
    })
  }
  const before = await findAnswer(bus, isMeant, signal)
  if (before !== undefined) throw answeredBefore(before)
  throw new MurmurError(`There is no open question "${id}" (see "murmur ask ls")`, {
    code: "QUESTION_UNKNOWN",
    details: { id },
  })
}

function checkChoice({ id, question, choices }: QuestionRecord, answer: string): void {
  if (choices === undefined || choices.includes(answer)) return
  throw new MurmurError(
    `Cannot answer question ${id} (${question}) with ${JSON.stringify(answer)}: it must be one of ${choices.join(", ")}`,
    { code: "QUESTION_CHOICE", details: { id, choices } },
  )
}

async function untilTaken(
  bus: BusCore,
  { id }: QuestionRecord,
  { takenMs = 10_000, signal }: AnswerOptions,
): Promise<AnswerTaken | undefined> {
  const questions = await bus.bucket("questions")
  const deadline = performance.now() + takenMs
  while ((await questions.get(id)) !== undefined) {
    signal?.throwIfAborted()
    if (performance.now() > deadline) return undefined
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
  return findAnswer(bus, (full) => full === id, signal)
}

/** The error of a question that was answered before, and how. */
export function answeredBefore({ id, question, answer, by, at }: AnswerTaken): MurmurError {
  const who = by === null ? "by its default" : `by ${by}`
  return new MurmurError(
    `Question ${id} (${question}) was answered with ${JSON.stringify(answer)} before, ${who} at ${at}`,
    { code: "QUESTION_ANSWERED", details: { id, answer, by } },
  )
}
