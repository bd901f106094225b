import { ensureError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import { timeText } from "./clock.js"
import type { Attempt } from "./dead-letters.js"
import { isTakenOver } from "./give-way.js"
import type { Journal } from "./journal/journal.js"
import type { Run, StepPorts } from "./step-ports.js"

/** The step's journal; one for all attempts, so that a call that outlives its attempt is no other writer. */
export function journalOf({ input, attempt }: Run, ports: Pick<StepPorts, "openJournal">): Promise<Journal> {
  input.journal ??= ports.openJournal(input.event.id)
  return input.journal.then((journal) => {
    journal.attempt = attempt
    return journal
  })
}

/** What is written into a step's journal about its attempts. None of it holds a step up when it cannot be written. */
export class StepNotes {
  constructor(
    private readonly ports: Pick<StepPorts, "clock" | "openJournal" | "redact">,
    private readonly log: Log,
  ) {}

  /** A wait that is new tells by itself that the attempt is over; before an old one it has to be said. */
  async suspended({ input, attempt, span }: Run): Promise<void> {
    span?.set({ "murmur.suspended": true })
    const journal = await input.journal
    if (journal?.attempts.open !== true) return
    await journal.end({ attempt, outcome: "suspended" }).catch((thrown) => {
      this.log.warn({ journal: journal.subject, error: ensureError(thrown) }, "cannot note that a step waits")
    })
  }

  /** A step that is done waits for nothing any more. What is left when this fails is a wait that is answered in vain. */
  async close(journal: Journal): Promise<void> {
    await journal.close().catch((thrown) => {
      this.log.warn({ journal: journal.subject, error: ensureError(thrown) }, "cannot close the journal of a step")
    })
  }

  /**
   * Writes down how an attempt ended, so that whoever tries next knows: also on another node. One that was stopped only
   * when it has done something; and a journal that cannot be written holds nothing up.
   *
   * @returns whether another node runs the step: then it is for that one to say how it ended
   */
  async ended(run: Run, { code, message, durationMs }: Attempt): Promise<boolean> {
    const { input, attempt, stopping } = run
    const stopped = stopping.aborted
    if (stopped && input.journal === undefined) return false
    const error = { code: this.ports.redact(code), message: this.ports.redact(message) }
    const outcome = stopped ? "stopped" : "failed"
    input.previousAttempt = { attempt, ended: outcome, at: timeText(this.ports.clock.now()), error, calls: [] }
    const noted = journalOf(run, this.ports).then(async (journal) => {
      await journal.end({ attempt, outcome, durationMs, error })
      input.previousAttempt = journal.attempts.last // with the calls that it made
    })
    let stop = (): void => {}
    const aborted = new Promise<void>((resolve) => {
      stop = resolve
      if (!stopped) stopping.addEventListener("abort", stop, { once: true })
    })
    try {
      await Promise.race([noted, aborted])
      return false
    } catch (thrown) {
      this.log.debug({ event: input.event.id, error: ensureError(thrown) }, "cannot note how an attempt ended")
      return isTakenOver(thrown)
    } finally {
      stopping.removeEventListener("abort", stop) // it outlives every attempt
    }
  }
}
