import type { SealedEvent } from "../bus/encode.js"
import type { EventDraft, MurmurEvent } from "../bus/event.js"
import { RetryableError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import type { AskOptions } from "./ask.js"
import type { Clock } from "./clock.js"
import type { StepContext } from "./context.js"
import type { AgentDefinition } from "./define-agent.js"
import type { Effects } from "./effects.js"
import type { PreviousAttempt } from "./journal/attempts.js"
import { type Perform, performTool } from "./tools/perform-tool.js"
import type { AnyTool, ToolFunctions } from "./tools/tool.js"
import type { ToolCalls } from "./tools/tool-calls.js"
import { toolFunctions } from "./tools/tool-functions.js"

/** What an attempt is made with. */
export interface StepParts {
  readonly event: MurmurEvent
  readonly storedAtMs: number
  readonly attempt: number
  readonly previousAttempt: PreviousAttempt | undefined
  readonly definition: AgentDefinition
  readonly log: Log
  readonly clock: Clock
  /** Aborted when the node cannot wait any longer. */
  readonly stopping: AbortSignal
  readonly seal: (draft: EventDraft, position: number) => SealedEvent
  readonly makeEffects: (onSuspended: () => void) => Effects
  readonly makeTools: (step: Step, effects: Effects) => ToolCalls
}

/** How a handler ended that did not throw: it returned, or it can do nothing more but wait. */
export type StepEnd = "returned" | "suspended"

/** One attempt while it runs: the context that its handler is given, and the time that it has. */
export class Step implements StepContext {
  readonly agent: string
  readonly key: string | undefined
  readonly attempt: number
  readonly previousAttempt: PreviousAttempt | undefined
  readonly log: Log
  readonly outputs: SealedEvent[] = []
  #open = true
  #timed = true
  #startTime: (() => void) | undefined
  #made: Effects | undefined
  #tools: { readonly functions: ToolFunctions; readonly calls: ToolCalls } | undefined
  /** Controller and promise are made only when somebody looks: most steps are over before. */
  #controller: AbortController | undefined
  #settle: { suspend: () => void; fail: (error: Error) => void } | undefined

  constructor(private readonly parts: StepParts) {
    this.agent = parts.definition.name
    this.key = parts.event.key
    this.attempt = parts.attempt
    this.previousAttempt = parts.previousAttempt
    this.log = parts.log
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  /** A function of its own, so that a handler may take it out of its context. */
  readonly emit = (draft: EventDraft): void => {
    this.#mustBeOpen("emitted")
    this.outputs.push(this.parts.seal(draft, this.outputs.length))
  }

  get state(): unknown {
    return this.#effects.state
  }

  readonly record = (name: string, data: unknown): void => {
    this.#mustBeOpen(`recorded "${name}"`)
    this.#effects.record(name, data)
  }

  readonly run = async <T>(name: string, work: () => Promise<T> | T): Promise<T> => {
    this.#mustBeOpen(`ran "${name}"`)
    return this.#effects.run(name, work)
  }

  readonly sleep = async (ms: number): Promise<void> => {
    this.#mustBeOpen("slept")
    return this.#effects.sleep(ms)
  }

  readonly ask = async (question: string, options: AskOptions): Promise<string> => {
    this.#mustBeOpen("asked")
    return this.#effects.ask(question, options)
  }

  get tools(): ToolFunctions {
    return this.#toolParts.functions
  }

  /** Makes a call of a tool, whose code runs where `perform` has it run. */
  readonly callTool = async (tool: AnyTool, input: unknown, perform: Perform): Promise<unknown> => {
    this.#mustBeOpen(`called tool "${tool.name}"`)
    return this.#toolParts.calls.call(tool, input, perform)
  }

  get #toolParts(): { readonly functions: ToolFunctions; readonly calls: ToolCalls } {
    this.#tools ??= { functions: this.#toolFunctions(), calls: this.parts.makeTools(this, this.#effects) }
    return this.#tools
  }

  #toolFunctions(): ToolFunctions {
    const { clock, definition } = this.parts
    return toolFunctions(this.agent, definition.tools, (tool, given, input) => {
      const { agent, key, attempt, signal, log } = this
      const run = { tool, input, clock, ctx: { agent, key, attempt, signal, log } }
      return this.callTool(tool, given, (way, idempotencyKey) => performTool(run, way, idempotencyKey))
    })
  }

  readonly now = (): Date => new Date(this.parts.storedAtMs)

  readonly random = (): number => this.#effects.random()

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
    this.#made ??= this.parts.makeEffects(() => this.#suspend())
    return this.#made
  }

  #mustBeOpen(what: string): void {
    if (this.#open) return
    throw new RetryableError(`"${this.agent}" ${what} after its step had ended`, { code: "STEP_ENDED" })
  }

  /** Waits for the handler, as long as its time and the node allow, or until all that it does is wait. */
  async within(running: Promise<void>): Promise<StepEnd> {
    const { stopping, clock, definition } = this.parts
    const settled = new Promise<StepEnd>((resolve, reject) => {
      this.#settle = { suspend: () => resolve("suspended"), fail: reject }
    })
    let cancelTimeout = (): void => {}
    this.#startTime = () => {
      cancelTimeout = clock.after(definition.stepTimeoutMs, () => this.#abort(this.#tooSlow()))
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
    const message = `A step of "${this.agent}" took longer than ${this.parts.definition.stepTimeoutMs} ms (stepTimeoutMs)`
    return new RetryableError(message, { code: "STEP_TIMEOUT" })
  }
}
