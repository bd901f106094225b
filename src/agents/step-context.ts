import type { SealedEvent } from "../bus/encode.js"
import type { EventDraft, MurmurEvent } from "../bus/event.js"
import { RetryableError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import type { StepContext } from "./context.js"
import type { AgentDefinition } from "./define-agent.js"
import type { Effects } from "./effects.js"

/** One attempt while it runs: the context that its handler is given, and the time that it has. */
export class Step implements StepContext {
  readonly agent: string
  readonly key: string | undefined
  readonly outputs: SealedEvent[] = []
  #open = true
  #made: Effects | undefined
  /** Controller, timer and promise are made only when somebody looks: most steps are over before. */
  #controller: AbortController | undefined
  #timer: NodeJS.Timeout | undefined
  #reject: ((error: Error) => void) | undefined

  constructor(
    event: MurmurEvent,
    readonly attempt: number,
    private readonly definition: AgentDefinition,
    readonly log: Log,
    private readonly stopping: AbortSignal,
    private readonly seal: (draft: EventDraft, position: number) => SealedEvent,
    private readonly makeEffects: () => Effects,
    private readonly storedAtMs: number,
  ) {
    this.agent = definition.name
    this.key = event.key
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  /** A function of its own, so that a handler may take it out of its context. */
  readonly emit = (draft: EventDraft): void => {
    this.#mustBeOpen("emitted")
    this.outputs.push(this.seal(draft, this.outputs.length))
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

  readonly now = (): Date => new Date(this.storedAtMs)

  readonly random = (): number => this.#effects.random()

  /** What was done besides emitting; `undefined` when nothing was. */
  get effects(): Effects | undefined {
    return this.#made
  }

  /** Made when first asked for: most steps of agents without state do nothing of the kind. */
  get #effects(): Effects {
    this.#made ??= this.makeEffects()
    return this.#made
  }

  #mustBeOpen(what: string): void {
    if (this.#open) return
    throw new RetryableError(`"${this.agent}" ${what} after its step had ended`, { code: "STEP_ENDED" })
  }

  /** Waits for the handler, as long as its time and the node allow. */
  async within(running: Promise<void>): Promise<readonly SealedEvent[]> {
    const expired = new Promise<never>((_, reject) => {
      this.#reject = reject
    })
    this.#timer = setTimeout(() => this.#abort(this.#tooSlow()), this.definition.stepTimeoutMs)
    const onStop = (): void => this.#abort(this.#stopped())
    if (this.stopping.aborted) onStop()
    else this.stopping.addEventListener("abort", onStop, { once: true })
    try {
      await Promise.race([running, expired])
    } finally {
      this.end()
      clearTimeout(this.#timer)
      this.stopping.removeEventListener("abort", onStop)
    }
    return this.outputs
  }

  /** Nothing may be emitted any more. */
  end(): void {
    this.#open = false
  }

  #abort(error: Error): void {
    this.#controller ??= new AbortController()
    this.#controller.abort(error)
    this.#reject?.(error)
  }

  #stopped(): Error {
    return new RetryableError(`"${this.agent}" was stopped in a step`, { code: "STEP_STOPPED" })
  }

  #tooSlow(): Error {
    const message = `A step of "${this.agent}" took longer than ${this.definition.stepTimeoutMs} ms (stepTimeoutMs)`
    return new RetryableError(message, { code: "STEP_TIMEOUT" })
  }
}
