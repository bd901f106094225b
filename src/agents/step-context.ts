import { baggageOf } from "../bus/baggage.js"
import type { SealedEvent } from "../bus/encode.js"
import type { EventDraft } from "../bus/event.js"
import { RetryableError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import { Branch } from "./branch-context.js"
import { CallingContext } from "./calling-context.js"
import type { Clock } from "./clock.js"
import type { StepContext } from "./context.js"
import type { AgentDefinition } from "./define-agent.js"
import type { Delegation } from "./delegation/delegation.js"
import type { Effects } from "./effects.js"
import type { PreviousAttempt } from "./journal/attempts.js"
import { ownState } from "./minds/history/compose.js"
import { type DeployedMind, deployedMind, type MindfulContext } from "./minds/mindful-context.js"
import type { Session } from "./sessions/session.js"
import { StepCalls } from "./step-calls.js"
import { AttemptCore } from "./step-core.js"
import type { Run, StepPorts } from "./step-ports.js"
import type { ToolCalls } from "./tools/tool-calls.js"

/** How an output is sealed. */
export interface SealAs {
  /** Whether outsiders have a say in it. */
  readonly tainted: boolean
}

/** What all steps of an agent are made with. */
export interface StepParts {
  readonly agent: AgentDefinition
  readonly log: Log
  readonly clock: Clock
  readonly ports: StepPorts
  seal(run: Run, draft: EventDraft, as: SealAs & { readonly position: number }): SealedEvent
  /** As `seal`, of what the runtime itself emits in the agent's name. */
  sealFreely(run: Run, draft: EventDraft, as: SealAs & { readonly id?: string }): SealedEvent
  effects(run: Run, session: Session | undefined, onSuspended: () => void): Effects
  tools(run: Run, step: Step, effects: Effects): ToolCalls
  delegation(run: Run, step: Step, effects: Effects): Delegation
  /** @throws MurmurError when the agent may not emit it */
  checkDraft(draft: EventDraft): void
}

/** How a handler ended that did not throw: it returned, or it can do nothing more but wait. */
export type StepEnd = "returned" | "suspended"

/**
 * One attempt while it runs: the context that its handler is given, and the time that it has.
 *
 * What a handler calls are functions of their own, so that it may take them out of its context; each is made when it is
 * asked for, since most steps use one or two.
 */
export class Step extends CallingContext implements MindfulContext {
  readonly outputs: SealedEvent[] = []
  #open = true
  #timed = true
  #startTime: (() => void) | undefined
  /** Made when first asked for: most steps of agents without state do nothing but emit. */
  #madeCore: AttemptCore | undefined
  #madeCalls: StepCalls | undefined
  /** Controller and promise are made only when somebody looks: most steps are over before. */
  #controller: AbortController | undefined
  #settle: { suspend: () => void; fail: (error: Error) => void } | undefined

  constructor(
    private readonly parts: StepParts,
    private readonly of: Run,
    private readonly session: Session | undefined,
  ) {
    super()
  }

  get agent(): string {
    return this.parts.agent.name
  }

  get key(): string | undefined {
    return this.of.input.event.key
  }

  get baggage(): Readonly<Record<string, string>> {
    return baggageOf(this.of.input.event)
  }

  get attempt(): number {
    return this.of.attempt
  }

  get previousAttempt(): PreviousAttempt | undefined {
    return this.of.input.previousAttempt
  }

  get log(): Log {
    return this.parts.log
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  get emit(): StepContext["emit"] {
    return (draft) => {
      this.mustBeOpen("emitted")
      this.outputs.push(this.parts.seal(this.of, draft, { position: this.outputs.length, tainted: this.#tainted }))
    }
  }

  get state(): unknown {
    return this.parts.agent.history === undefined ? this.whole : ownState(this.whole)
  }

  /** The state with what the runtime keeps in it: the conversation. */
  get whole(): unknown {
    return this.#core.effects.state
  }

  /** For agents with instructions: what their deployment makes of them. */
  get mind(): DeployedMind {
    return deployedMind(this.parts.agent, this.parts.ports.minds)
  }

  /** Notes on the session's conversation are made. */
  onMemoryUpdate(phase: "started" | "completed"): void {
    this.of.input.teller?.memoryUpdate(phase)
  }

  get record(): StepContext["record"] {
    return (name, data) => {
      this.mustBeOpen("recorded", name)
      this.#core.effects.record(name, data)
    }
  }

  get branch(): StepContext["branch"] {
    return () => {
      const at = this.#core.effects.positions.branch()
      return new Branch({ core: this.#core, parent: this, event: this.of.input.event, at })
    }
  }

  /** What its contexts share: for a worker, whose calls are made here. */
  get core(): AttemptCore {
    return this.#core
  }

  get now(): StepContext["now"] {
    return () => new Date(this.of.input.storedAtMs)
  }

  get random(): StepContext["random"] {
    return () => this.#core.effects.random()
  }

  /**
   * Sends something that the agent need not declare: a task, a reply. It is an output of the step as any other, but for
   * its id, which it brings along.
   */
  send(draft: EventDraft): void {
    this.outputs.push(this.parts.sealFreely(this.of, draft, { tainted: this.#tainted }))
  }

  /** To be called when the handler of a task has returned. */
  settleTask(): void {
    this.#core.delegation.settle()
  }

  /** To be called before the handler does: its time begins when the returned function is called. */
  untimed(): () => void {
    this.#timed = false
    return () => this.#startTime?.()
  }

  /** Keeps the step from being suspended until the returned function is called. */
  hold(): () => void {
    return this.#core.effects.hold()
  }

  /** What was done besides emitting; `undefined` when nothing was. */
  get made(): AttemptCore | undefined {
    return this.#madeCore
  }

  get #tainted(): boolean {
    if (this.parts.agent.history !== undefined) return this.#core.tainted
    return this.#madeCore?.tainted ?? false
  }

  get #core(): AttemptCore {
    this.#madeCore ??= new AttemptCore(
      this.parts,
      this.of,
      this,
      this.parts.effects(this.of, this.session, () => this.#suspend()),
    )
    return this.#madeCore
  }

  protected get calls(): StepCalls {
    this.#madeCalls ??= new StepCalls(this.#core, this, this.#core.effects.positions)
    return this.#madeCalls
  }

  /** @throws RetryableError `STEP_ENDED` */
  mustBeOpen(did: string, what?: string): void {
    if (this.#open) return
    const deed = what === undefined ? did : `${did} "${what}"`
    throw new RetryableError(`"${this.agent}" ${deed} after its step had ended`, { code: "STEP_ENDED" })
  }

  /** Waits for the handler, as long as its time and the node allow, or until all that it does is wait. */
  async within(running: Promise<void>): Promise<StepEnd> {
    const { clock, agent } = this.parts
    const { stopping } = this.of
    const settled = new Promise<StepEnd>((resolve, reject) => {
      this.#settle = { suspend: () => resolve("suspended"), fail: reject }
    })
    let cancelTimeout = (): void => {}
    this.#startTime = () => {
      cancelTimeout = clock.after(agent.stepTimeoutMs, () => this.#abort(this.#tooSlow()))
    }
    if (this.#timed) this.#startTime()
    const onStop = (): void => this.#abort(this.#stopped())
    if (stopping.aborted) onStop()
    else stopping.addEventListener("abort", onStop, { once: true })
    try {
      return await Promise.race([running.then(() => "returned" as const), settled])
    } finally {
      this.end()
      this.#startTime = undefined
      cancelTimeout()
      stopping.removeEventListener("abort", onStop)
    }
  }

  /** A handler may have swallowed what its step cannot go on with: then this run counts for nothing. */
  mustBeOurs(): void {
    const why = this.#madeCore?.effects.void
    if (why !== undefined) throw why
    this.#madeCore?.mustBeInBudget()
  }

  /** Nothing may be emitted any more. */
  end(): void {
    this.#open = false
  }

  /** The run is thrown away: what it holds is told that nobody waits for it. */
  #suspend(): void {
    this.#settle?.suspend()
    this.#controller?.abort(
      new RetryableError(`A step of "${this.agent}" waits; its run is over`, { code: "STEP_SUSPENDED" }),
    )
  }

  #abort(error: Error): void {
    this.#controller ??= new AbortController()
    this.#controller.abort(error)
    this.#settle?.fail(error)
  }

  #stopped(): Error {
    return new RetryableError(`"${this.agent}" was stopped in a step`, { code: "STEP_STOPPED" })
  }

  #tooSlow(): Error {
    const message = `A step of "${this.agent}" took longer than ${this.parts.agent.stepTimeoutMs} ms (stepTimeoutMs)`
    return new RetryableError(message, { code: "STEP_TIMEOUT" })
  }
}
