import { baggageOf } from "../../../bus/baggage.js"
import type { EventDraft, MurmurEvent } from "../../../bus/event.js"
import { MurmurError } from "../../../errors.js"
import type { Log } from "../../../telemetry/ports.js"
import { Branch, type BranchContext } from "../../branch-context.js"
import { CallingContext } from "../../calling-context.js"
import type { AgentDefinition } from "../../define-agent.js"
import { drawsOf } from "../../draws.js"
import type { PreviousAttempt } from "../../journal/attempts.js"
import { ownState } from "../../minds/history/compose.js"
import type { DeployedMind, MindfulContext } from "../../minds/mindful-context.js"
import { plain } from "../../plain.js"
import { Positions } from "../../positions.js"
import { evolve } from "../../sessions/session.js"
import { StepCalls } from "../../step-calls.js"
import type { Harvest, RecordedEntry, StepFacts } from "../wire.js"
import type { RemoteCalls } from "./remote-calls.js"
import { RemoteCore } from "./remote-core.js"

/** What a context in a worker is made of. */
export interface RemoteParts {
  readonly agent: AgentDefinition
  readonly event: MurmurEvent
  readonly facts: StepFacts
  readonly signal: AbortSignal
  readonly log: Log
  readonly calls: RemoteCalls
}

/**
 * A step's context in a worker. What has an answer is asked of the node, where the journal is. What the handler emits
 * and records is checked here, so that it learns of a mistake where it made it, and goes to the node in one piece when
 * the handler has returned: a handler that emits without end fills its own memory and not the node's.
 */
export class RemoteContext extends CallingContext implements MindfulContext {
  readonly agent: string
  readonly key: string | undefined
  readonly attempt: number
  readonly previousAttempt: PreviousAttempt | undefined
  readonly signal: AbortSignal
  readonly log: Log
  readonly random: () => number
  readonly #core: RemoteCore
  protected readonly calls: StepCalls
  readonly #positions = Positions.ofStep()
  readonly #drafts: EventDraft[] = []
  readonly #entries: RecordedEntry[] = []
  #whole: unknown
  #open = true

  constructor(private readonly parts: RemoteParts) {
    super()
    const { agent, event, facts } = parts
    this.agent = agent.name
    this.key = facts.key
    this.attempt = facts.attempt
    this.previousAttempt = facts.previousAttempt as PreviousAttempt | undefined
    this.signal = parts.signal
    this.log = parts.log
    this.random = drawsOf(agent.name, event)
    this.#core = new RemoteCore({ ...parts, ctx: this, isOpen: () => this.#open })
    this.calls = new StepCalls(this.#core, this, this.#positions)
    this.#whole = facts.state
  }

  get baggage(): Readonly<Record<string, string>> {
    return baggageOf(this.parts.event)
  }

  get state(): unknown {
    return this.parts.agent.history === undefined ? this.#whole : ownState(this.#whole)
  }

  get whole(): unknown {
    return this.#whole
  }

  get mind(): DeployedMind {
    return this.parts.facts.mind
  }

  /** Not told: nobody sees into a worker. */
  onMemoryUpdate(): void {}

  readonly emit = (draft: EventDraft): void => {
    this.#core.mustBeOpen("emitted")
    this.#core.checkDraft(draft)
    this.#drafts.push(plain(draft, `an event "${draft.type}"`) as EventDraft)
  }

  readonly record = (name: string, data: unknown): void => {
    this.#core.mustBeOpen("recorded", name)
    const { state } = this.parts.agent
    if (state === undefined) {
      throw new MurmurError(`Cannot record "${name}": agent "${this.agent}" has no "state"`, { code: "STATE_NONE" })
    }
    const entry = { name, data: plain(data, `the data of entry "${name}"`) }
    this.#whole = evolve(state, this.#whole, entry, `agent "${this.agent}"`)
    this.#entries.push(entry)
  }

  readonly branch = (): BranchContext => {
    return new Branch({ core: this.#core, parent: this, event: this.parts.event, at: this.#positions.branch() })
  }

  readonly now = (): Date => new Date(this.parts.facts.now)

  /** Nothing may be emitted any more. @returns what was */
  end(): Harvest {
    this.#open = false
    return { drafts: this.#drafts, entries: this.#entries, replies: this.#core.replies }
  }
}
