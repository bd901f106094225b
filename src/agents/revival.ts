import type { MurmurEvent, TraceContext } from "../bus/event.js"
import type { Arrived } from "./delegation/decide.js"
import { type ResultMeaning, resolveWith, resultsAtDeadline, takeResult } from "./delegation/results.js"
import type { OpenJournal } from "./effects.js"
import { readInboxEvent } from "./inbox-event.js"
import type { Intake, IntakeGate } from "./intake.js"
import type { Journal } from "./journal/journal.js"
import type { WaitingRecord } from "./journal/records.js"
import type { EventPort } from "./ports.js"
import type { Resume, SuspensionPort } from "./suspension.js"

/** A suspended step that goes on: its event once more, and what its journal holds. */
export interface Revived {
  readonly intake: Intake
  readonly storedAtMs: number
  readonly journal: Journal
  /** What it goes on because of, besides its event: the results that were waited for, an answer. */
  readonly links: readonly TraceContext[]
}

/** What has arrived, as the wait before which a step stands sees it. */
type Meaning =
  | ResultMeaning
  | { readonly kind: "answer"; readonly answer: unknown }
  | { readonly kind: "early" }
  | { readonly kind: "nothing" }

/**
 * Brings suspended steps back. What comes by the inbox is a wake-up and no authority: it counts only if the journal
 * holds that wait, and, for a timer, if its time has passed by the server's clock; for a result, if the task was given
 * to its producer. A timer that is early (the server's clock was set back) is set once more, so that no step sleeps for
 * ever.
 */
export class Revival {
  constructor(
    private readonly gate: IntakeGate,
    private readonly openJournal: OpenJournal,
    private readonly suspension: SuspensionPort,
    private readonly events: Pick<EventPort, "ids">,
  ) {}

  /**
   * @param arrivedAtMs when the server stored what says that the step may go on
   * @returns `undefined` when there is nothing to go on with: the step is done, never waited for this, or waits for more
   */
  async revive(resume: Resume, carrier: MurmurEvent, arrivedAtMs: number): Promise<Revived | undefined> {
    const { seq } = carrier
    const journal = await this.openJournal(resume.step)
    if (!journal.waitsAt(resume.position)) return undefined
    const waiting = journal.waitAt(resume.position)
    const links = linksTo(journal.cameAt(resume.position), carrier)
    if (waiting !== undefined) {
      const meaning = await this.#meaning(journal, waiting, resume, { carrier, arrivedAtMs })
      if (meaning.kind === "refused") {
        return { intake: this.gate.refuse(carrier), storedAtMs: Date.parse(waiting.storedAt), journal, links }
      }
      if (meaning.kind === "early") await this.#setAgain(journal, waiting)
      if (meaning.kind === "enough") await resolveWith(journal, resume.position, meaning.results, seq)
      else if (meaning.kind === "answer") await journal.resolve(resume.position, meaning.answer, seq)
      else return undefined
      if (resume.kind !== "wake") await this.#clearTimer(journal, waiting)
    }
    const asked = journal.questionAt(resume.position)
    if (asked !== undefined)
      await this.suspension.answered(asked.id, answerOf(journal.answerAt(resume.position), resume))
    if (journal.broughtBy(resume.position) !== seq) return undefined // another was first, and lets it go on
    journal.goOn(resume.position)
    const { suspended } = journal
    if (suspended === undefined || journal.givenUp) return undefined // a letter that is tried again finds the answer
    const event = readInboxEvent({ data: suspended.event, seq })
    if (event === undefined) return undefined
    return { intake: this.gate.recheck(event), storedAtMs: Date.parse(suspended.storedAt), journal, links }
  }

  async #meaning(
    journal: Journal,
    waiting: WaitingRecord,
    resume: Resume,
    { carrier, arrivedAtMs }: { readonly carrier: MurmurEvent; readonly arrivedAtMs: number },
  ): Promise<Meaning> {
    const { wait, position, at } = waiting
    if (resume.kind === "wake") {
      if (arrivedAtMs < Date.parse(wait.until)) return { kind: "early" }
      return wait.kind === "task"
        ? { kind: "enough", results: resultsAtDeadline(journal, { position, wait }) }
        : { kind: "answer", answer: wait.kind === "ask" ? wait.default : null }
    }
    if (resume.kind === "result") {
      if (wait.kind !== "task") return { kind: "nothing" }
      return takeResult(journal, { position, wait, at }, resume, { carrier, events: this.events })
    }
    if (wait.kind !== "ask" || wait.id !== resume.question) return { kind: "nothing" }
    const { choices } = wait
    const isChoice = choices === undefined || choices.includes(resume.answer)
    return isChoice ? { kind: "answer", answer: resume.answer } : { kind: "nothing" }
  }

  async #clearTimer({ agent }: Journal, { event, position }: WaitingRecord): Promise<void> {
    const of = readInboxEvent({ data: event, seq: 0 })
    if (of !== undefined) await this.suspension.clearTimer({ agent, key: of.key, step: of.id, position })
  }

  async #setAgain({ agent }: Journal, { event, wait, position }: WaitingRecord): Promise<void> {
    const of = readInboxEvent({ data: event, seq: 0 })
    if (of === undefined) return
    await this.suspension.setTimer({ agent, key: of.key, step: of.id, position, at: new Date(wait.until) })
  }
}

/** What came before and was noted, and what has come last. */
function linksTo(came: readonly Arrived[], { trace }: MurmurEvent): TraceContext[] {
  const noted = came.flatMap(({ traceparent }) => (traceparent === undefined ? [] : [{ traceparent }]))
  return trace === undefined ? noted : [...noted, trace]
}

function answerOf(answer: unknown, resume: Resume): { answer: string; by: string | undefined } {
  const by = resume.kind === "answer" && resume.answer === answer ? resume.by : undefined
  return { answer: String(answer), by }
}
