import type { SealedEvent } from "../bus/encode.js"
import type { EventDraft } from "../bus/event.js"
import { RetryableError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import type { Clock } from "./clock.js"
import type { StepContext } from "./context.js"
import type { AgentDefinition } from "./define-agent.js"
import type { Effects } from "./effects.js"
import type { PreviousAttempt } from "./journal/attempts.js"
import type { Session } from "./sessions/session.js"
import type { Run } from "./step-ports.js"
import { type Perform, performTool } from "./tools/perform-tool.js"
import type { AnyTool, ToolFunctions } from "./tools/tool.js"
import type { ToolCalls } from "./tools/tool-calls.js"
import { toolFunctions } from "./tools/tool-functions.js"

/** What all steps of an agent are made with. */
export interface StepParts {
  readonly agent: AgentDefinition
  readonly log: Log
  readonly clock: Clock
  seal(run: Run, draft: EventDraft, position: number): SealedEvent
  effects(run: Run, session: Session | undefined, onSuspended: () => void): Effects
  tools(run: Run, step: Step, effects: Effects): ToolCalls
}

/** How a handler ended that did not throw: it returned, or it can do nothing more but wait. */
export type StepEnd = "returned" | "suspended"

/**
 * One attempt while it runs: the context that its handler is given, and the time that it has.
 *
 * What a handler calls are functions of their own, so that it may take them out of its context; each is made when it is
 * asked for, since most steps use one or two.
 */
export class Step implements StepContext {
  readonly outputs: SealedEvent[] = []
  #open = true
  #timed = true
  #startTime: (() => void) | undefined
  #made: Effects | undefined
  #tools: { readonly functions: ToolFunctions; readonly calls: ToolCalls } | undefined
  /** Controller and promise are made only when somebody looks: most steps are over before. */
  #controller: AbortController | undefined
  #settle: { suspend: () => void; fail: (error: Error) => void } | undefined

  constructor(
    private readonly parts: StepParts,
    private readonly of: Run,
    private readonly session: Session | undefined,
  ) {}

  get agent(): string {
    return this.parts.agent.name
  }

  get key(): string | undefined {
    return this.of.input.event.key
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
      this.#mustBeOpen("emitted")
      this.outputs.push(this.parts.seal(this.of, draft, this.outputs.length))
    }
  }

  get state(): unknown {
    return this.#effects.state
  }

  get record(): StepContext["record"] {
    return (name, data) => {
      this.#mustBeOpen("recorded", name)
      this.#effects.record(name, data)
    }
  }

  get run(): StepContext["run"] {
    return async (name, work) => {
      this.#mustBeOpen("ran", name)
      return this.#effects.run(name, work)
    }
  }

  get sleep(): StepContext["sleep"] {
    return async (ms) => {
      this.#mustBeOpen("slept")
      return this.#effects.sleep(ms)
    }
  }

  get ask(): StepContext["ask"] {
    return async (question, options) => {
      this.#mustBeOpen("asked")
      return this.#effects.ask(question, options)
    }
  }

  get tools(): ToolFunctions {
    return this.#toolParts.functions
  }

  /** Makes a call of a tool, whose code runs where `perform` has it run. */
  get callTool(): (tool: AnyTool, input: unknown, perform: Perform) => Promise<unknown> {
    return async (tool, input, perform) => {
      this.#mustBeOpen("called tool", tool.name)
      return this.#toolParts.calls.call(tool, input, perform)
    }
  }

  get #toolParts(): { readonly functions: ToolFunctions; readonly calls: ToolCalls } {
    this.#tools ??= { functions: this.#toolFunctions(), calls: this.parts.tools(this.of, this, this.#effects) }
    return this.#tools
  }

  #toolFunctions(): ToolFunctions {
    const { clock, agent: definition } = this.parts
    return toolFunctions(this.agent, definition.tools, (tool, given, input) => {
      const { agent, key, attempt, signal, log } = this
      const run = { tool, input, clock, ctx: { agent, key, attempt, signal, log } }
      return this.callTool(tool, given, (way, idempotencyKey) => performTool(run, way, idempotencyKey))
    })
  }

  get now(): StepContext["now"] {
    return () => new Date(this.of.input.storedAtMs)
  }

  get random(): StepContext["random"] {
    return () => this.#effects.random()
  }

  /** To be called before the handler does: its time begins when the returned function is called. */
  untimed(): () => void {
    this.#timed = false
    return () => this.#startTime?.()
  }

  /** Keeps the step from being suspended until the returned function is called. */
  hold(): () => void {
    return this.#effects.hold()
  }

  /** What was done besides emitting; `undefined` when nothing was. */
  get effects(): Effects | undefined {
    return this.#made
  }

  /** Made when first asked for: most steps of agents without state do nothing of the kind. */
  get #effects(): Effects {
    this.#made ??= this.parts.effects(this.of, this.session, () => this.#suspend())
    return this.#made
  }

  #mustBeOpen(did: string, what?: string): void {
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

  /** A handler may have swallowed that another node runs its step: then this run counts for nothing. */
  mustBeOurs(): void {
    if (this.#made?.takenOver !== undefined) throw this.#made.takenOver
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
