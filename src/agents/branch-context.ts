import type { EventDraft } from "../bus/event.js"
import { MurmurError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import { CallingContext } from "./calling-context.js"
import type { StepContext } from "./context.js"
import { drawsOf } from "./draws.js"
import type { PreviousAttempt } from "./journal/attempts.js"
import { ownState } from "./minds/history/compose.js"
import { plain } from "./plain.js"
import type { Positions } from "./positions.js"
import { evolve } from "./sessions/session.js"
import { StepCalls, type StepCore } from "./step-calls.js"

/** A context of its own for what runs beside something else in the same step. */
export interface BranchContext extends StepContext {
  /** Hands what the branch has emitted and recorded to the context that it came from. To be called in a fixed order. */
  end(): void
}

/** A context that shows the state with what the runtime keeps in it. */
export interface WholeContext extends StepContext {
  readonly whole: unknown
}

/** What a branch needs of the context that it comes from. */
export interface BranchOrigin {
  readonly core: StepCore
  readonly parent: WholeContext
  readonly at: Positions
  /** The event that the step handles. */
  readonly event: { readonly id: string; readonly key: string | undefined }
}

/**
 * A branch of a step: its calls have positions of their own, its random numbers a sequence of their own, and what it emits
 * and records is held back until it ends. So branches may run side by side, and the step is the same on each attempt
 * whichever of them is faster.
 */
export class Branch extends CallingContext implements BranchContext {
  readonly agent: string
  readonly key: string | undefined
  readonly attempt: number
  readonly previousAttempt: PreviousAttempt | undefined
  readonly log: Log
  readonly random: () => number
  protected readonly calls: StepCalls
  readonly #emitted: EventDraft[] = []
  readonly #recorded: { readonly name: string; readonly data: unknown }[] = []
  #state: { readonly value: unknown } | undefined

  constructor(private readonly origin: BranchOrigin) {
    super()
    const { core, parent, at, event } = origin
    this.agent = parent.agent
    this.key = parent.key
    this.attempt = parent.attempt
    this.previousAttempt = parent.previousAttempt
    this.log = parent.log
    this.random = drawsOf(parent.agent, event, at.path)
    this.calls = new StepCalls(core, this, at)
  }

  get baggage(): Readonly<Record<string, string>> {
    return this.origin.parent.baggage
  }

  get signal(): AbortSignal {
    return this.origin.parent.signal
  }

  /** The state of the step with what this branch has recorded; not with what others beside it have. */
  get state(): unknown {
    return this.origin.core.definition.history === undefined ? this.whole : ownState(this.whole)
  }

  /** The state with what the runtime keeps in it: the conversation. */
  get whole(): unknown {
    return this.#state === undefined ? this.origin.parent.whole : this.#state.value
  }

  readonly emit = (draft: EventDraft): void => {
    this.origin.core.mustBeOpen("emitted")
    this.origin.core.checkDraft(draft)
    this.#emitted.push(draft)
  }

  readonly record = (name: string, data: unknown): void => {
    const { core } = this.origin
    core.mustBeOpen("recorded", name)
    const { state } = core.definition
    if (state === undefined) {
      throw new MurmurError(`Cannot record "${name}": agent "${this.agent}" has no "state"`, { code: "STATE_NONE" })
    }
    const entry = { name, data: plain(data, `the data of entry "${name}"`) }
    this.#state = { value: evolve(state, this.whole, entry, `agent "${this.agent}"`) }
    this.#recorded.push(entry)
  }

  readonly now = (): Date => this.origin.parent.now()

  readonly branch = (): BranchContext => {
    const { core, event } = this.origin
    return new Branch({ core, event, parent: this, at: this.calls.at.branch() })
  }

  readonly end = (): void => {
    const { parent } = this.origin
    for (const { name, data } of this.#recorded.splice(0)) parent.record(name, data)
    for (const draft of this.#emitted.splice(0)) parent.emit(draft)
    this.#state = undefined
  }
}
