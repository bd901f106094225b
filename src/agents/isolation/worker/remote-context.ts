import type { EventDraft, MurmurEvent } from "../../../bus/event.js"
import { MurmurError, RetryableError } from "../../../errors.js"
import type { Log } from "../../../telemetry/ports.js"
import type { AskOptions } from "../../ask.js"
import { systemClock } from "../../clock.js"
import { EmitGate, type StepContext } from "../../context.js"
import type { AgentDefinition } from "../../define-agent.js"
import { drawsOf } from "../../draws.js"
import type { PreviousAttempt } from "../../journal/attempts.js"
import { plain } from "../../plain.js"
import { evolve } from "../../sessions/session.js"
import { performTool } from "../../tools/perform-tool.js"
import type { ToolFunctions } from "../../tools/tool.js"
import { plainInput } from "../../tools/tool-data.js"
import { toolFunctions } from "../../tools/tool-functions.js"
import type { Harvest, RecordedEntry, StepFacts, ToolOrder } from "../wire.js"
import type { RemoteCalls } from "./remote-calls.js"

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
export class RemoteContext implements StepContext {
  readonly agent: string
  readonly key: string | undefined
  readonly attempt: number
  readonly previousAttempt: PreviousAttempt | undefined
  readonly signal: AbortSignal
  readonly log: Log
  readonly random: () => number
  readonly tools: ToolFunctions
  readonly #gate: EmitGate
  readonly #drafts: EventDraft[] = []
  readonly #entries: RecordedEntry[] = []
  #state: unknown
  #open = true

  constructor(private readonly parts: RemoteParts) {
    const { agent, event, facts } = parts
    this.agent = agent.name
    this.key = facts.key
    this.attempt = facts.attempt
    this.previousAttempt = facts.previousAttempt as PreviousAttempt | undefined
    this.signal = parts.signal
    this.log = parts.log
    this.random = drawsOf(agent.name, event)
    this.#gate = new EmitGate(agent.name, agent.emits)
    this.#state = facts.state
    this.tools = this.#toolFunctions()
  }

  get state(): unknown {
    return this.#state
  }

  readonly emit = (draft: EventDraft): void => {
    this.#mustBeOpen("emitted")
    this.#gate.check(draft)
    this.#drafts.push(plain(draft, `an event "${draft.type}"`) as EventDraft)
  }

  readonly record = (name: string, data: unknown): void => {
    this.#mustBeOpen(`recorded "${name}"`)
    const { state } = this.parts.agent
    if (state === undefined) {
      throw new MurmurError(`Cannot record "${name}": agent "${this.agent}" has no "state"`, { code: "STATE_NONE" })
    }
    const entry = { name, data: plain(data, `the data of entry "${name}"`) }
    this.#state = evolve(state, this.#state, entry, `agent "${this.agent}"`)
    this.#entries.push(entry)
  }

  readonly run = async <T>(name: string, work: () => Promise<T> | T): Promise<T> => {
    this.#mustBeOpen(`ran "${name}"`)
    const answer = async (): Promise<unknown> => plain(await work(), `the answer of "${name}"`)
    return this.parts.calls.make({ method: "run", name }, answer) as Promise<T>
  }

  readonly sleep = async (ms: number): Promise<void> => {
    this.#mustBeOpen("slept")
    await this.parts.calls.make({ method: "sleep", ms })
  }

  readonly ask = async (question: string, options: AskOptions): Promise<string> => {
    this.#mustBeOpen("asked")
    const sent = typeof options === "object" ? plain(options, "the options of a question") : options
    return String(await this.parts.calls.make({ method: "ask", question, options: sent }))
  }

  readonly delegate = (): Promise<never> => this.#notHere("delegate")
  readonly gather = (): Promise<never> => this.#notHere("gather")
  readonly handoff = (): Promise<never> => this.#notHere("handoff")
  readonly reply = (): never => this.#missing("reply")

  get llm(): never {
    return this.#missing("llm")
  }

  readonly branch = (): never => this.#missing("branch")

  async #notHere(what: string): Promise<never> {
    return this.#missing(what)
  }

  #missing(what: string): never {
    throw new MurmurError(`"${this.agent}" cannot use ctx.${what}: it runs with isolation "worker"`, {
      code: "AGENT_ISOLATION",
    })
  }

  readonly now = (): Date => new Date(this.parts.facts.now)

  /** Nothing may be emitted any more. @returns what was */
  end(): Harvest {
    this.#open = false
    return { drafts: this.#drafts, entries: this.#entries }
  }

  #toolFunctions(): ToolFunctions {
    const { agent, key, attempt, signal, log } = this
    return toolFunctions(agent, this.parts.agent.tools, async (tool, given, input) => {
      this.#mustBeOpen(`called tool "${tool.name}"`)
      const run = { tool, input, clock: systemClock, ctx: { agent, key, attempt, signal, log } }
      return this.parts.calls.make({ method: "tool", name: tool.name, input: plainInput(tool, given) }, (order) => {
        const { way, idempotencyKey } = order as ToolOrder
        return performTool(run, way, idempotencyKey)
      })
    })
  }

  #mustBeOpen(what: string): void {
    if (this.#open) return
    throw new RetryableError(`"${this.agent}" ${what} after its step had ended`, { code: "STEP_ENDED" })
  }
}
