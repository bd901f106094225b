import { type SealedEvent, seal } from "../bus/encode.js"
import type { MurmurEvent, TraceContext } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"
import { ensureError, errorCode, RetryableError } from "../errors.js"
import type { Attributes, Log, Span, Telemetry } from "../telemetry/ports.js"
import { timeText } from "./clock.js"
import { EmitGate, type StepContext } from "./context.js"
import { crashPoint } from "./crash-points.js"
import type { Attempt } from "./dead-letters.js"
import type { AgentDefinition } from "./define-agent.js"
import { type EffectPorts, Effects } from "./effects.js"
import { giveWay, isTakenOver, type OtherRun } from "./give-way.js"
import { GuardTripped } from "./guards/guard-tripped.js"
import type { StepGuards } from "./guards/guards.js"
import { type AgentStats, agentLog } from "./host.js"
import type { PreviousAttempt } from "./journal/attempts.js"
import type { Journal } from "./journal/journal.js"
import { Outputs } from "./outputs.js"
import type { EventPort } from "./ports.js"
import { publishMissing } from "./publish-missing.js"
import { changesBetween } from "./sessions/changes.js"
import type { CommitRecord } from "./sessions/record.js"
import type { Session } from "./sessions/session.js"
import { Step, type StepEnd } from "./step-context.js"
import { ToolCalls } from "./tools/tool-calls.js"

/** Where the sessions of an agent with state are. */
export interface Sessions {
  load(key: string | undefined): Promise<Session>
  commit(session: Session, record: CommitRecord): Promise<"stored" | "conflict">
  /** The commit that an event caused, if the log still has it. */
  findCommit(session: Session, causeId: string): Promise<CommitRecord | undefined>
  /** Forgets what is in memory: another writer was there, or may have been. */
  forget(key: string | undefined): void
}

/** The part of a node that a step needs. */
export interface StepPorts extends EffectPorts {
  readonly telemetry: Telemetry
  readonly names: { readonly mesh: string }
  readonly events: Pick<EventPort, "store" | "ids">
  /** Only for agents with state. */
  readonly sessions: Sessions | undefined
  readonly guards: StepGuards
  readonly nodeId: string
  /** Waits without holding one of the agent's places. */
  pause(wait: Promise<unknown>): Promise<unknown>
  /** Takes secrets out of what is written down of errors. */
  redact(text: string): string
}

/** One event for one step. */
export interface StepInput {
  readonly event: MurmurEvent
  /** When the server stored the event. */
  readonly storedAtMs: number
  /** Whether it came in stream order. What was sent to the agent alone did not. */
  readonly ordered: boolean
  /** Whether a process died that may have been in this step: then it is noted what is begun. */
  readonly careful: boolean
  /** The step's journal, once somebody has opened it: one for all attempts of this process. */
  journal: Promise<Journal> | undefined
  /** How the attempt before went, if there was one. */
  previousAttempt: PreviousAttempt | undefined
  /** Whether the guards have let it in: they are asked once, however often it is tried or suspended. */
  admitted: boolean
}

/** How one attempt ended. */
export type Outcome =
  | { readonly ok: true; readonly end: "done" | "suspended" }
  | { readonly ok: false; readonly error: Error; readonly attempt: Attempt }

type Ok = Outcome & { ok: true }

const DONE: Ok = { ok: true, end: "done" }
const SUSPENDED: Ok = { ok: true, end: "suspended" }
const CONFLICTS_MAX = 10
/** Where several nodes write a session side by side: each conflict is the progress of another. */
const SHARED_CONFLICTS_MAX = 1_000
const PUBLISH_RETRY_MS_MAX = 30_000

/** What one attempt is made with. */
interface Run {
  readonly input: StepInput
  readonly attempt: number
  readonly span: Span | undefined
  readonly stopping: AbortSignal
}

/**
 * Runs single attempts of a handler agent's steps: handler, then outputs. An attempt that resolves has its outputs
 * stored; it never rejects.
 */
export class StepRunner {
  readonly #gate: EmitGate
  readonly #outputs: Outputs
  readonly #handle: (event: MurmurEvent, ctx: StepContext) => Promise<void> | void
  readonly #spanName: string
  readonly #log: Log
  /** Made once: a step has no time to make labels. */
  readonly #labels: { readonly ok: Attributes; readonly error: Attributes }

  constructor(
    private readonly agent: AgentDefinition & { behaviour: { kind: "handle" } },
    private readonly ports: StepPorts,
    stats: AgentStats,
  ) {
    this.#gate = new EmitGate(agent.name, agent.emits)
    this.#outputs = new Outputs(agent.name, ports, stats)
    this.#handle = agent.behaviour.handle
    this.#spanName = `process ${agent.name}`
    this.#log = agentLog(ports.telemetry.log, agent.name)
    this.#labels = { ok: { agent: agent.name, outcome: "ok" }, error: { agent: agent.name, outcome: "error" } }
  }

  /** @param stopping aborted when the node cannot wait any longer */
  async attempt(input: StepInput, attempt: number, stopping: AbortSignal): Promise<Outcome> {
    const { clock, telemetry } = this.ports
    const began = clock.now()
    const span = telemetry.tracing.enabled ? this.#span(input.event, attempt) : undefined
    const run: Run = { input, attempt, span, stopping }
    let outcome: Outcome | undefined
    while (outcome === undefined) {
      try {
        if (input.careful) await (await this.#journalOf(run)).begin(attempt, this.ports.nodeId)
        const ended = await this.#once(run)
        if (ended.end === "done" && input.journal !== undefined) await this.#close(await input.journal)
        if (ended.end === "suspended") await this.#noteSuspended(run)
        outcome = ended
      } catch (thrown) {
        if (isTakenOver(thrown) && (await this.#gaveWay(run))) continue // nobody's failure
        const failed = this.#failed(thrown, began, span)
        if (!(thrown instanceof GuardTripped)) await this.#noteEnd(run, failed.attempt)
        outcome = failed
      }
    }
    span?.end()
    if (telemetry.metrics.enabled) {
      const labels = outcome.ok ? this.#labels.ok : this.#labels.error
      telemetry.metrics.duration("murmur.step.duration", (clock.now() - began) / 1_000, labels)
    }
    return outcome
  }

  /** @returns a promise only where there is something to wait for: most steps end where they begin */
  #once(run: Run): Promise<Ok> | Ok {
    const { sessions } = this.ports
    return sessions === undefined ? this.#stateless(run) : this.#stateful(sessions, run)
  }

  /** The step's journal; one for all attempts, so that a call that outlives its attempt is no other writer. */
  #journalOf({ input, attempt }: Run): Promise<Journal> {
    input.journal ??= this.ports.openJournal(input.event.id)
    return input.journal.then((journal) => {
      journal.attempt = attempt
      return journal
    })
  }

  /** Waits for the other node in this step. @returns whether to look again: not when this node stops */
  async #gaveWay({ input, stopping }: Run): Promise<boolean> {
    input.journal = undefined // what it knows is not all
    await this.ports.pause(giveWay(this.#otherRun(input), this.ports.clock, stopping).catch(() => {}))
    return !stopping.aborted
  }

  #otherRun(input: StepInput): OtherRun {
    const { sessions, openJournal } = this.ports
    return {
      answers: async () => (await openJournal(input.event.id)).size,
      committed: async () => {
        if (sessions === undefined) return false
        sessions.forget(input.event.key)
        return isCommitted(await sessions.load(input.event.key), input)
      },
    }
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
    const step = this.#step(run)
    const running = this.#begin(step, run)
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
        await this.#persistently(() => this.#finishCommitted(sessions, session, input), event, stopping)
        return DONE
      }
      const admission = this.#admission(input) // not before: what is committed is in effect, whatever its tree has used
      if (admission !== undefined) await admission
      const step = this.#step(run, session)
      const running = this.#begin(step, run)
      if (running !== undefined && (await step.within(running)) === "suspended") return SUSPENDED
      step.mustBeOurs()
      const entries = step.effects?.entries ?? []
      if (entries.length === 0 && step.outputs.length === 0) return DONE // nothing to remember: running again does no harm
      const reserving = this.ports.guards.reserveOutputs(event, step.outputs.length)
      if (reserving !== undefined) await reserving
      // the first commit holds the whole state: where it began is known to the code alone
      const before = session.commits === 0 ? undefined : session.state
      const changes = entries.length === 0 && session.commits > 0 ? [] : changesBetween(before, step.state)
      const record = this.#commitRecord(input, attempt, session, { entries, changes, outputs: step.outputs })
      crashPoint("P5")
      if ((await sessions.commit(session, record)) === "stored") {
        crashPoint("P6")
        if (step.outputs.length > 0) {
          await this.#persistently(() => this.#outputs.publish(step.outputs), event, stopping)
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
  async #persistently(publish: () => Promise<unknown>, event: MurmurEvent, stopping: AbortSignal): Promise<void> {
    for (let failures = 0; ; failures++) {
      try {
        await publish()
        return
      } catch (thrown) {
        if (stopping.aborted) throw thrown
        const error = ensureError(thrown)
        this.#log.error({ event: event.id, key: event.key, error }, "cannot publish what is committed; trying again")
        const waitMs = Math.min(PUBLISH_RETRY_MS_MAX, 250 * 2 ** Math.min(failures, 10))
        await this.ports.clock.delay(waitMs, stopping)
      }
    }
  }

  /** A wait that is new tells by itself that the attempt is over; before an old one it has to be said. */
  async #noteSuspended({ input, attempt, span }: Run): Promise<void> {
    span?.set({ "murmur.suspended": true })
    const journal = await input.journal
    if (journal?.attempts.open !== true) return
    await journal.end({ attempt, outcome: "suspended" }).catch((thrown) => {
      this.#log.warn({ journal: journal.subject, error: ensureError(thrown) }, "cannot note that a step waits")
    })
  }

  /** A step that is done waits for nothing any more. What is left when this fails is a wait that is answered in vain. */
  async #close(journal: Journal): Promise<void> {
    await journal.close().catch((thrown) => {
      this.#log.warn({ journal: journal.subject, error: ensureError(thrown) }, "cannot close the journal of a step")
    })
  }

  /**
   * Writes down how an attempt ended, so that whoever tries next knows: also on another node. One that was stopped only
   * when it has done something; and a journal that cannot be written holds nothing up.
   */
  async #noteEnd(run: Run, { code, message, durationMs }: Attempt): Promise<void> {
    const { input, attempt, stopping } = run
    const stopped = stopping.aborted
    if (stopped && input.journal === undefined) return
    const error = { code, message: this.ports.redact(message) }
    const outcome = stopped ? "stopped" : "failed"
    input.previousAttempt = { attempt, ended: outcome, at: timeText(this.ports.clock.now()), error, calls: [] }
    const noted = this.#journalOf(run).then(async (journal) => {
      await journal.end({ attempt, outcome, durationMs, error })
      input.previousAttempt = journal.attempts.last // with the calls that it made
    })
    const aborted = new Promise<void>((resolve) => {
      if (!stopped) stopping.addEventListener("abort", () => resolve(), { once: true })
    })
    await Promise.race([noted, aborted]).catch((thrown) => {
      if (isTakenOver(thrown)) input.journal = undefined
      this.#log.debug({ event: input.event.id, error: ensureError(thrown) }, "cannot note how an attempt ended")
    })
  }

  #commitRecord(
    { event, ordered, storedAtMs }: StepInput,
    attempt: number,
    session: Session,
    done: Pick<CommitRecord, "entries" | "changes" | "outputs">,
  ): CommitRecord {
    return {
      kind: "commit",
      cause: { id: event.id, type: event.type, seq: ordered ? event.seq : 0, at: timeText(storedAtMs) },
      ...done,
      attempt,
      code: this.agent.code,
      stateVersion: this.agent.state?.version ?? 0,
      snapshot: session.snapshotSeq,
      at: timeText(this.ports.clock.now()),
    }
  }

  #span(event: MurmurEvent, attempt: number): Span {
    const attributes = this.#attributes(event, attempt)
    return this.ports.telemetry.tracing.start(this.#spanName, { kind: "consumer", parent: event.trace, attributes })
  }

  #step(run: Run, session?: Session): Step {
    const { input, attempt, span, stopping } = run
    const { event, storedAtMs, careful } = input
    const { agent, ports } = this
    const trace = span === undefined ? event.trace : span.context
    return new Step({
      ...{ event, storedAtMs, attempt, stopping, definition: agent, log: this.#log, clock: ports.clock },
      previousAttempt: input.previousAttempt,
      seal: (draft, position) => this.#output(this.#gate.check(draft), event, position, trace),
      makeEffects: (onSuspended) =>
        new Effects(
          { agent: agent.name, event, storedAtMs, careful, state: agent.state, session, onSuspended },
          { ...ports, openJournal: () => this.#journalOf(run) },
        ),
      makeTools: (step, effects) =>
        new ToolCalls({ agent: agent.name, event, careful, trace, signal: () => step.signal }, effects, ports),
    })
  }

  /** Calls the handler. @returns a promise only where the handler does */
  #begin(step: Step, { input: { event }, span }: Run): Promise<void> | undefined {
    let running: Promise<void> | undefined
    try {
      running =
        (span === undefined ? this.#handle(event, step) : span.run(() => this.#handle(event, step))) ?? undefined
    } finally {
      if (running === undefined) step.end()
    }
    return running
  }

  #output(
    draft: Parameters<typeof seal>[0],
    cause: MurmurEvent,
    position: number,
    trace: TraceContext | undefined,
  ): SealedEvent {
    const id = derivedId(this.agent.name, cause.key ?? "", cause.id, position)
    return seal(draft, { mesh: this.ports.names.mesh, producer: this.agent.name, cause, trace }, id)
  }

  #attributes(event: MurmurEvent, attempt: number): Record<string, string | number | undefined> {
    return {
      "messaging.system": "nats",
      "messaging.operation.type": "process",
      "messaging.message.id": event.id,
      "messaging.message.conversation_id": event.correlationid,
      "murmur.agent": this.agent.name,
      "murmur.event.type": event.type,
      "murmur.event.key": event.key,
      "murmur.hops": event.hops,
      "murmur.attempt": attempt,
    }
  }

  #failed(thrown: unknown, began: number, span: Span | undefined): Outcome & { ok: false } {
    const error = ensureError(thrown)
    span?.fail(error)
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

function isCommitted(session: Session, { event, ordered, storedAtMs }: StepInput): boolean {
  return session.causes.has({ id: event.id, seq: ordered ? event.seq : 0, storedAtMs })
}
