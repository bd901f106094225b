import type { MurmurEvent } from "../bus/event.js"
import { ensureError, errorCode, RetryableError } from "../errors.js"
import type { Attributes, Log } from "../telemetry/ports.js"
import { isBusTrouble } from "./bus-trouble.js"
import { timeText, waitAtMost } from "./clock.js"
import { crashPoint } from "./crash-points.js"
import type { AgentDefinition } from "./define-agent.js"
import { giveWay, isTakenOver, type OtherRun } from "./give-way.js"
import { GuardTripped } from "./guards/guard-tripped.js"
import { type AgentStats, agentLog } from "./host.js"
import type { Journal } from "./journal/journal.js"
import { Outputs } from "./outputs.js"
import { persistently } from "./persistently.js"
import { publishMissing } from "./publish-missing.js"
import { changesBetween } from "./sessions/changes.js"
import type { CommitRecord } from "./sessions/record.js"
import type { Session } from "./sessions/session.js"
import { causeOf, isCommitted, isGivenUp } from "./step-cause.js"
import type { Step, StepEnd } from "./step-context.js"
import { StepMaker } from "./step-maker.js"
import { journalOf, StepNotes } from "./step-notes.js"
import type { Outcome, Run, Sessions, StepInput, StepPorts } from "./step-ports.js"

type Ok = Outcome & { ok: true }

const DONE: Ok = { ok: true, end: "done" }
const SUSPENDED: Ok = { ok: true, end: "suspended" }
const GIVEN_UP: Ok = { ok: true, end: "given-up" }
const CONFLICTS_MAX = 10
/** Where several nodes write a session side by side: each conflict is the progress of another. */
const SHARED_CONFLICTS_MAX = 1_000
const PUBLISH_RETRY_MS_MAX = 30_000
/** So long a step waits for a bus that is away; then its attempt has failed. */
const OUTAGE_MS_MAX = 3_600_000
const OUTAGE_LOOK_MS = 500

/**
 * Runs single attempts of a handler agent's steps: handler, then outputs. An attempt that resolves has its outputs
 * stored; it never rejects.
 */
export class StepRunner {
  readonly #make: StepMaker
  readonly #notes: StepNotes
  readonly #outputs: Outputs
  readonly #log: Log
  /** Made once: a step has no time to make labels. */
  readonly #labels: { readonly ok: Attributes; readonly error: Attributes }

  constructor(
    private readonly agent: AgentDefinition & { behaviour: { kind: "handle" } },
    private readonly ports: StepPorts,
    stats: AgentStats,
  ) {
    this.#log = agentLog(ports.telemetry.log, agent.name)
    this.#make = new StepMaker(agent, ports, this.#log)
    this.#notes = new StepNotes(ports, this.#log)
    this.#outputs = new Outputs(agent.name, ports, stats)
    this.#labels = { ok: { agent: agent.name, outcome: "ok" }, error: { agent: agent.name, outcome: "error" } }
  }

  /** @param stopping aborted when the node cannot wait any longer */
  async attempt(input: StepInput, attempt: number, stopping: AbortSignal): Promise<Outcome> {
    const { clock, telemetry } = this.ports
    const began = clock.now()
    const span = telemetry.tracing.enabled ? this.#make.span(input, attempt) : undefined
    const run: Run = { input, attempt, span, stopping }
    let outcome: Outcome | undefined
    while (outcome === undefined) {
      try {
        if (input.careful) await (await journalOf(run, this.ports)).begin(attempt, this.ports.nodeId)
        const ended = await this.#once(run)
        if (ended.end === "done" && input.journal !== undefined) await this.#notes.close(await input.journal)
        if (ended.end === "suspended") await this.#notes.suspended(run)
        outcome = ended
      } catch (caught) {
        const thrown = run.meter?.exceeded ?? caught // its handler may have made another error of it
        if (isBusTrouble(thrown) && (await this.#waitsForBus(run, began))) continue // nobody's failure
        const failed = this.#failed(thrown, began)
        const noted = isTakenOver(thrown) || thrown instanceof GuardTripped
        const taken = noted ? isTakenOver(thrown) : await this.#notes.ended(run, failed.attempt)
        const after = taken ? await this.#giveWay(run) : undefined // nobody's failure
        if (after === "again") continue
        if (after === undefined) span?.fail(failed.error)
        outcome = after ?? failed
      }
    }
    input.teller?.ended(outcome)
    input.teller = undefined
    span?.end()
    if (telemetry.metrics.enabled) {
      const labels = outcome.ok ? this.#labels.ok : this.#labels.error
      telemetry.metrics.duration("murmur.step.duration", (clock.now() - began) / 1_000, labels)
      const ageMs = Math.max(0, began - input.storedAtMs) // of two clocks: the server's and ours
      if (attempt === 1) telemetry.metrics.duration("murmur.event.age", ageMs / 1_000, labels)
    }
    return outcome
  }

  /** @returns whether to go on; not when the node stops, or when it has taken too long to be that alone */
  async #waitsForBus({ input, stopping }: Run, began: number): Promise<boolean> {
    const { clock, pause } = this.ports
    if (stopping.aborted || clock.now() - began > OUTAGE_MS_MAX) return false
    const before = await input.journal?.catch(() => undefined)
    await pause(clock.delay(OUTAGE_LOOK_MS, stopping))
    // what is under way is paid: its answer is written when the bus is back, and found there
    if (before !== undefined) await pause(waitAtMost(clock, this.agent.stepTimeoutMs, before.idle(), stopping))
    input.journal = undefined // what was written last is not known
    return !stopping.aborted
  }

  /** @returns a promise only where there is something to wait for: most steps end where they begin */
  #once(run: Run): Promise<Ok> | Ok {
    const { sessions } = this.ports
    return sessions === undefined ? this.#stateless(run) : this.#stateful(sessions, run)
  }

  /** Waits for the other node in this step. @returns what follows from what it did; `undefined` when this node stops */
  async #giveWay({ input, stopping }: Run): Promise<Ok | "again" | undefined> {
    const { clock, openJournal, pause } = this.ports
    input.journal = undefined // what it knows is not all
    await pause(giveWay(this.#otherRun(input), clock, stopping).catch(() => {}))
    if (stopping.aborted) return undefined
    const journal = await openJournal(input.event.id).catch(() => undefined)
    return journal?.givenUp === true ? GIVEN_UP : "again"
  }

  #otherRun(input: StepInput): OtherRun {
    const journal = (): Promise<Journal> => this.ports.openJournal(input.event.id)
    return {
      answers: async () => (await journal()).size,
      ended: async () => (await journal()).givenUp || this.committed(input),
    }
  }

  /** Whether the step is committed, by the log as it is now: another node may have done it. */
  async committed(input: StepInput): Promise<boolean> {
    const { sessions } = this.ports
    if (sessions === undefined) return false
    sessions.forget(input.event.key)
    return isCommitted(await sessions.load(input.event.key), input)
  }

  /** Without state there is nothing to commit: outputs have derived ids, journaled calls are answered from the journal. */
  #stateless(run: Run): Promise<Ok> | Ok {
    const admission = this.#admission(run.input)
    return admission === undefined ? this.#runStateless(run) : admission.then(() => this.#runStateless(run))
  }

  /** @returns a promise only where the guards have to ask */
  #admission(input: StepInput): Promise<void> | undefined {
    if (input.admitted) return undefined
    const admission = this.ports.guards.admit(input.event)?.then(() => {
      input.admitted = true
    })
    if (admission === undefined) input.admitted = true
    return admission
  }

  #runStateless(run: Run): Promise<Ok> | Ok {
    const step = this.#make.step(run)
    const running = this.#make.begin(step, run)
    if (running !== undefined) return step.within(running).then((end) => this.#publishEnd(step, end, run.input))
    return step.outputs.length > 0 ? this.#publishEnd(step, "returned", run.input) : DONE
  }

  async #publishEnd(step: Step, end: StepEnd, { event }: StepInput): Promise<Ok> {
    if (end === "suspended") return SUSPENDED
    step.mustBeOurs()
    const { outputs } = step
    if (outputs.length === 0) return DONE
    const reserving = this.ports.guards.reserveOutputs(event, outputs.length)
    if (reserving !== undefined) await reserving
    await this.#outputs.publish(outputs)
    return DONE
  }

  /**
   * One step of a session: skipped when its commit is there, else run and committed by one fenced append, outputs
   * included; published from what was stored. Whoever loses the fence looks whose commit it is and begins again.
   */
  async #stateful(sessions: Sessions, run: Run): Promise<Ok> {
    const { input, attempt, stopping } = run
    const { event } = input
    const conflictsMax = this.agent.ordering === "none" ? SHARED_CONFLICTS_MAX : CONFLICTS_MAX
    for (let conflicts = 0; ; conflicts++) {
      const session = await sessions.load(event.key)
      crashPoint("P1")
      if (isCommitted(session, input)) {
        if (await stillWaits(session, input)) return SUSPENDED
        await this.#publishCommitted(() => this.#finishCommitted(sessions, session, input), event, stopping)
        return DONE
      }
      if (isGivenUp(session, input)) return GIVEN_UP
      const admission = this.#admission(input) // not before: what is committed is in effect, whatever its tree has used
      if (admission !== undefined) await admission
      const step = this.#make.step(run, session)
      const running = this.#make.begin(step, run)
      if (running !== undefined && (await step.within(running)) === "suspended") return SUSPENDED
      step.mustBeOurs()
      const entries = step.made?.effects.entries ?? []
      if (entries.length === 0 && step.outputs.length === 0) return DONE // nothing to remember: running again does no harm
      const reserving = this.ports.guards.reserveOutputs(event, step.outputs.length)
      if (reserving !== undefined) await reserving
      // the first commit holds the whole state: where it began is known to the code alone
      const { isFirst } = session
      const changes =
        entries.length === 0 && !isFirst ? [] : changesBetween(isFirst ? undefined : session.state, step.whole)
      const usage = step.made?.usage
      const done = { entries, changes, outputs: step.outputs, ...(usage !== undefined && { usage }) }
      const record = this.#commitRecord(input, attempt, session, done)
      crashPoint("P5")
      if ((await sessions.commit(session, record)) === "stored") {
        crashPoint("P6")
        if (step.outputs.length > 0) {
          await this.#publishCommitted(() => this.#outputs.publish(step.outputs), event, stopping)
        }
        crashPoint("P8")
        return DONE
      }
      sessions.forget(event.key)
      if (conflicts >= conflictsMax) {
        throw new RetryableError(`Another node writes session "${event.key ?? "_"}" of "${this.agent.name}"`, {
          code: "SESSION_CONTENDED",
        })
      }
    }
  }

  /**
   * The event's commit is there; its outputs may not be. That can only be so for the last one that came in stream order,
   * since the next one waited for them, and for one that was sent to this agent alone. It need not be the newest commit:
   * the two come by different ways.
   */
  async #finishCommitted(sessions: Sessions, session: Session, { event, ordered }: StepInput): Promise<void> {
    const isNewest = session.newest?.cause.id === event.id
    if (!isNewest && ordered && event.seq !== session.causes.through) return
    const commit = isNewest ? session.newest : await sessions.findCommit(session, event.id)
    if (commit === undefined || commit.outputs.length === 0) return
    await publishMissing(this.ports.events, this.agent.name, commit.outputs, new Date(commit.at))
  }

  /**
   * What is committed is in effect: it can no longer fail, only wait. The key waits with it, so that its outputs stay in
   * order, and the log says why.
   */
  #publishCommitted(publish: () => Promise<unknown>, event: MurmurEvent, stopping: AbortSignal): Promise<unknown> {
    const { clock } = this.ports
    const onFailure = (error: Error): void => {
      this.#log.error({ event: event.id, key: event.key, error }, "cannot publish what is committed; trying again")
    }
    return persistently(publish, { clock, stopping, firstMs: 250, maxMs: PUBLISH_RETRY_MS_MAX, onFailure })
  }

  #commitRecord(
    input: StepInput,
    attempt: number,
    session: Session,
    done: Pick<CommitRecord, "entries" | "changes" | "outputs" | "usage">,
  ): CommitRecord {
    return {
      kind: "commit",
      cause: causeOf(input),
      ...done,
      attempt,
      code: this.agent.code,
      stateVersion: this.agent.state?.version ?? 0,
      snapshot: session.snapshotSeq,
      at: timeText(this.ports.clock.now()),
    }
  }

  #failed(thrown: unknown, began: number): Outcome & { ok: false } {
    const error = ensureError(thrown)
    const durationMs = this.ports.clock.now() - began
    const at = timeText(began)
    return { ok: false, error, attempt: { at, durationMs, code: errorCode(error), message: error.message } }
  }
}

/** Events that came after it are committed; it is not: it was suspended before them, and came once more. */
async function stillWaits(session: Session, { event, journal, storedAtMs }: StepInput): Promise<boolean> {
  if (journal === undefined || session.causes.has({ id: event.id, seq: 0, storedAtMs })) return false
  return (await journal).suspended !== undefined
}
