import type { OpenJournal } from "./effects.js"
import { readInboxEvent } from "./inbox-event.js"
import type { Intake, IntakeGate } from "./intake.js"
import type { Journal } from "./journal/journal.js"
import type { Wait, WaitingRecord } from "./journal/records.js"
import type { Resume, SuspensionPort } from "./suspension.js"

/** A suspended step that goes on: its event once more, and what its journal holds. */
export interface Revived {
  readonly intake: Intake
  readonly storedAtMs: number
  readonly journal: Journal
}

/**
 * Brings suspended steps back. What comes by the inbox is a wake-up and no authority: it counts only if the journal
 * holds that wait, and, for a timer, if its time has passed by the server's clock. A timer that is early (the server's
 * clock was set back) is set once more, so that no step sleeps for ever.
 */
export class Revival {
  constructor(
    private readonly gate: IntakeGate,
    private readonly openJournal: OpenJournal,
    private readonly suspension: SuspensionPort,
  ) {}

  /**
   * @param arrivedAtMs when the server stored what says that the step may go on
   * @returns `undefined` when there is nothing to go on with: the step is done, or never waited for this
   */
  async revive(resume: Resume, seq: number, arrivedAtMs: number): Promise<Revived | undefined> {
    const journal = await this.openJournal(resume.step)
    if (!journal.waitsAt(resume.position)) return undefined
    const waiting = journal.waitAt(resume.position)
    if (waiting !== undefined) {
      const come = whatCame(waiting.wait, resume, arrivedAtMs)
      if (come === undefined) {
        if (resume.kind === "wake") await this.#setAgain(journal, waiting)
        return undefined
      }
      await journal.resolve(resume.position, come.answer, seq)
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
    return { intake: this.gate.recheck(event), storedAtMs: Date.parse(suspended.storedAt), journal }
  }

  async #setAgain({ agent }: Journal, { event, wait, position }: WaitingRecord): Promise<void> {
    const of = readInboxEvent({ data: event, seq: 0 })
    if (of === undefined) return
    await this.suspension.setTimer({ agent, key: of.key, step: of.id, position, at: new Date(wait.until) })
  }
}

/** What a wait is answered with by what has arrived, if it is. */
function whatCame(wait: Wait, resume: Resume, arrivedAtMs: number): { readonly answer: unknown } | undefined {
  if (resume.kind === "wake") {
    if (arrivedAtMs < Date.parse(wait.until)) return undefined
    return { answer: wait.kind === "sleep" ? null : wait.default }
  }
  if (wait.kind !== "ask" || wait.id !== resume.question) return undefined
  const { choices } = wait
  return choices === undefined || choices.includes(resume.answer) ? { answer: resume.answer } : undefined
}

function answerOf(answer: unknown, resume: Resume): { answer: string; by: string | undefined } {
  const by = resume.kind === "answer" && resume.answer === answer ? resume.by : undefined
  return { answer: String(answer), by }
}
