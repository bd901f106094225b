import { setTimeout as delay } from "node:timers/promises"
import { type SealedEvent, seal } from "../bus/encode.js"
import type { MurmurEvent, TraceContext } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"
import { ensureError, errorCode, RetryableError } from "../errors.js"
import type { Attributes, Log, Span, Telemetry } from "../telemetry/ports.js"
import { EmitGate, type StepContext } from "./context.js"
import { crashPoint } from "./crash-points.js"
import type { Attempt } from "./dead-letters.js"
import type { AgentDefinition } from "./define-agent.js"
import { Effects, type OpenJournal } from "./effects.js"
import { giveWay, isTakenOver, type OtherRun } from "./give-way.js"
import { type AgentStats, agentLog } from "./host.js"
import { Outputs } from "./outputs.js"
import { changesBetween } from "./sessions/changes.js"
import type { CommitRecord } from "./sessions/record.js"
import type { Session } from "./sessions/session.js"
import { Step } from "./step-context.js"

/** Where the sessions of an agent with state are. */
export interface Sessions {
  load(key: string | undefined): Promise<Session>
  commit(session: Session, record: CommitRecord): Promise<"stored" | "conflict">
  /** The commit that an event caused, if the log still has it. */
  findCommit(session: Session, causeId: string): Promise<CommitRecord | undefined>
  /** Forgets what is in memory: another writer was there, or may have been. */
  forget(key: string | undefined): void
  /** Publishes those outputs of a stored commit that are not on the bus yet. */
  publishMissing(outputs: readonly SealedEvent[], since: Date): Promise<void>
}

/** The part of a node that a step needs. */
export interface StepPorts {
  readonly telemetry: Telemetry
  readonly openJournal: OpenJournal
  /** Only for agents with state. */
  readonly sessions: Sessions | undefined
  readonly bus: {
    readonly names: { readonly mesh: string }
    readonly publisher: { store(event: SealedEvent): Promise<unknown> }
  }
}

/** One event for one step. */
export interface StepInput {
  readonly event: MurmurEvent
  /** When the server stored the event. */
  readonly storedAtMs: number
  /** Whether it came in stream order. What was sent to the agent alone did not. */
  readonly ordered: boolean
}

/** How one attempt ended. */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly error: Error; readonly attempt: Attempt }

const OK: Outcome = { ok: true }
const CONFLICTS_MAX = 10
const PUBLISH_RETRY_MS_MAX = 30_000

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
    const began = Date.now()
    const { tracing, metrics } = this.ports.telemetry
    const span = tracing.enabled ? this.#span(input.event, attempt) : undefined
    let outcome: Outcome | undefined
    while (outcome === undefined) {
      try {
        if (this.ports.sessions === undefined) await this.#stateless(input, attempt, span, stopping)
        else await this.#stateful(this.ports.sessions, input, attempt, span, stopping)
        outcome = OK
      } catch (thrown) {
        if (isTakenOver(thrown) && (await this.#gaveWay(input, stopping))) continue // nobody's failure
        outcome = failed(thrown, began, span)
      }
    }
    span?.end()
    if (metrics.enabled) {
      const labels = outcome.ok ? this.#labels.ok : this.#labels.error
      metrics.duration("murmur.step.duration", (Date.now() - began) / 1_000, labels)
    }
    return outcome
  }

  /** Waits for the other node in this step. @returns whether to look again: not when this node stops */
  async #gaveWay(input: StepInput, stopping: AbortSignal): Promise<boolean> {
    await giveWay(this.#otherRun(input), stopping).catch(() => {})
    return !stopping.aborted
  }

  #otherRun({ event, ordered }: StepInput): OtherRun {
    const { sessions, openJournal } = this.ports
    return {
      answers: async () => (await openJournal(event.id)).size,
      committed: async () => {
        if (sessions === undefined) return false
        sessions.forget(event.key)
        return isCommitted(await sessions.load(event.key), event, ordered)
      },
    }
  }

  /**
   * Without state there is nothing to commit: outputs have derived ids, journaled calls are answered from the journal.
   *
   * @returns a promise only where there is something to wait for: most steps end where they begin
   */
  #stateless(
    input: StepInput,
    attempt: number,
    span: Span | undefined,
    stopping: AbortSignal,
  ): Promise<unknown> | undefined {
    const step = this.#step(input, attempt, span, stopping)
    const running = this.#begin(step, input.event, span)
    if (running !== undefined) return step.within(running).then((outputs) => this.#outputs.publish(outputs))
    return step.outputs.length > 0 ? this.#outputs.publish(step.outputs) : undefined
  }

  /**
   * One step of a session: skipped when its commit is there, else run and committed by one fenced append, outputs
   * included; published from what was stored. Whoever loses the fence looks whose commit it is and begins again.
   */
  async #stateful(
    sessions: Sessions,
    input: StepInput,
    attempt: number,
    span: Span | undefined,
    stopping: AbortSignal,
  ): Promise<void> {
    const { event } = input
    for (let conflicts = 0; ; conflicts++) {
      const session = await sessions.load(event.key)
      crashPoint("P1")
      if (isCommitted(session, event, input.ordered)) {
        await this.#persistently(() => this.#finishCommitted(sessions, session, input), event, stopping)
        return
      }
      const step = this.#step(input, attempt, span, stopping, session)
      const running = this.#begin(step, event, span)
      if (running !== undefined) await step.within(running)
      const entries = step.effects?.entries ?? []
      if (entries.length === 0 && step.outputs.length === 0) return // nothing to remember: running again does no harm
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
        return
      }
      sessions.forget(event.key)
      if (conflicts >= CONFLICTS_MAX) {
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
    await sessions.publishMissing(commit.outputs, new Date(commit.at))
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
        await delay(waitMs, undefined, { signal: stopping }).catch(() => {})
      }
    }
  }

  #commitRecord(
    { event, ordered }: StepInput,
    attempt: number,
    session: Session,
    done: Pick<CommitRecord, "entries" | "changes" | "outputs">,
  ): CommitRecord {
    return {
      kind: "commit",
      cause: { id: event.id, type: event.type, seq: ordered ? event.seq : 0 },
      ...done,
      attempt,
      code: this.agent.code,
      stateVersion: this.agent.state?.version ?? 0,
      snapshot: session.snapshotSeq,
      at: new Date().toISOString(),
    }
  }

  #span(event: MurmurEvent, attempt: number): Span {
    const attributes = this.#attributes(event, attempt)
    return this.ports.telemetry.tracing.start(this.#spanName, { kind: "consumer", parent: event.trace, attributes })
  }

  #step(input: StepInput, attempt: number, span: Span | undefined, stopping: AbortSignal, session?: Session): Step {
    const { event } = input
    return new Step(
      event,
      attempt,
      this.agent,
      this.#log,
      stopping,
      (draft, position) =>
        this.#output(this.#gate.check(draft), event, position, span === undefined ? event.trace : span.context),
      () => new Effects(this.agent.name, event, this.ports.openJournal, this.agent.state, session),
      input.storedAtMs,
    )
  }

  /** Calls the handler. @returns a promise only where the handler does */
  #begin(step: Step, event: MurmurEvent, span: Span | undefined): Promise<void> | undefined {
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
    return seal(draft, { mesh: this.ports.bus.names.mesh, producer: this.agent.name, cause, trace }, id)
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
}

function isCommitted(session: Session, event: MurmurEvent, ordered: boolean): boolean {
  return session.causes.has(event.id, ordered ? event.seq : Number.POSITIVE_INFINITY)
}

function failed(thrown: unknown, began: number, span: Span | undefined): Outcome {
  const error = ensureError(thrown)
  span?.fail(error)
  const durationMs = Date.now() - began
  const at = new Date(began).toISOString()
  return { ok: false, error, attempt: { at, durationMs, code: errorCode(error), message: error.message } }
}
