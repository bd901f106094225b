import type { EventDraft, MurmurEvent } from "../../../bus/event.js"
import { RetryableError } from "../../../errors.js"
import type { BrokerCompletion, BrokerEmbeddings } from "../../../gateways/broker/broker.js"
import type { Llm } from "../../../gateways/llm/llm.js"
import { llmOf } from "../../../gateways/llm/llm-of.js"
import type { LlmCalls, ToolOutcome } from "../../../gateways/llm/port.js"
import type { AskOptions } from "../../ask.js"
import { systemClock } from "../../clock.js"
import { EmitGate } from "../../context.js"
import type { AgentDefinition } from "../../define-agent.js"
import type { GatherTask } from "../../delegation/delegation.js"
import type { DelegateOptions, GatherOptions, HandoffOptions } from "../../delegation/options.js"
import { addressee, checkedResult, checkTaskOutput, type Target } from "../../delegation/target.js"
import type { TaskResult } from "../../delegation/task.js"
import { runStepTool } from "../../llm/run-step-tool.js"
import { specOf } from "../../llm/step-llm.js"
import { isStepTool } from "../../llm/step-tool.js"
import { plain } from "../../plain.js"
import type { Positions } from "../../positions.js"
import { type Caller, type ModelTool, performerOf, type StepCore } from "../../step-calls.js"
import type { AnyTool } from "../../tools/tool.js"
import { checkInput, plainInput } from "../../tools/tool-data.js"
import type { StepFacts, ToolOrder } from "../wire.js"
import type { RemoteCalls } from "./remote-calls.js"
import type { RemoteContext } from "./remote-context.js"

/** What the step behind a context in a worker is made of. */
export interface RemoteCoreParts {
  readonly agent: AgentDefinition
  readonly event: MurmurEvent
  readonly facts: StepFacts
  readonly calls: RemoteCalls
  /** The step's own context. */
  readonly ctx: RemoteContext
  readonly isOpen: () => boolean
}

/**
 * The step behind a context in a worker: its calls are made by the node, where the journal and the models are. Code that
 * belongs to a call (the work of a `run`, a tool) runs here. Positions are numbered here as well, since only here it is
 * known in which order the handler calls.
 */
export class RemoteCore implements StepCore {
  readonly replies: unknown[] = []
  readonly #gate: EmitGate

  constructor(private readonly parts: RemoteCoreParts) {
    this.#gate = new EmitGate(parts.agent.name, parts.agent.emits)
  }

  get definition(): AgentDefinition {
    return this.parts.agent
  }

  async run<T>(name: string, work: () => Promise<T> | T, at: Positions): Promise<T> {
    const answer = async (): Promise<unknown> => plain(await work(), `the answer of "${name}"`)
    return this.parts.calls.make({ method: "run", name, position: at.next() }, answer) as Promise<T>
  }

  recalled(name: string, at: Positions): Promise<unknown> {
    return this.parts.calls.make({ method: "recall", name, position: at.next() })
  }

  async sleep(ms: number, at: Positions): Promise<void> {
    await this.parts.calls.make({ method: "sleep", ms, position: at.next() })
  }

  async ask(question: string, options: AskOptions, at: Positions): Promise<string> {
    const sent = typeof options === "object" ? plain(options, "the options of a question") : options
    return String(await this.parts.calls.make({ method: "ask", question, options: sent, position: at.next() }))
  }

  tool(tool: AnyTool, given: unknown, input: unknown, at: Positions): Promise<unknown> {
    const what = { method: "tool", name: tool.name, input: plainInput(tool, given), position: at.next() } as const
    return this.parts.calls.make(what, (order) => this.#perform(tool, input, order as ToolOrder))
  }

  #perform(tool: AnyTool, input: unknown, { way, idempotencyKey }: ToolOrder): Promise<unknown> {
    return performerOf(this.parts.ctx, systemClock)(tool, input)(way, idempotencyKey)
  }

  async delegate(target: Target, input: unknown, options: DelegateOptions, { at }: Caller): Promise<unknown> {
    const from = this.definition.name
    const to = addressee(from, target)
    // a default that is nothing is one as well, and would not cross
    const given = "default" in options ? { ...options, default: options.default ?? null } : options
    const sent = { to: to.name, input: to.input(input), options: plain(given, "the options of a task") }
    const output = await this.parts.calls.make({ method: "delegate", ...sent, path: at.path })
    return checkTaskOutput(from, to, output)
  }

  async gather(tasks: readonly GatherTask[], options: GatherOptions, { at }: Caller): Promise<TaskResult[]> {
    const from = this.definition.name
    const to = tasks.map(({ agent }) => addressee(from, agent))
    const sent = tasks.map(({ agent: _, input, ...more }, n) => {
      return plain({ ...more, agent: to[n]?.name, input: to[n]?.input(input) }, "a task")
    })
    const what = { method: "gather", tasks: sent, options: plain(options, "the options of tasks") } as const
    const results = (await this.parts.calls.make({ ...what, path: at.path })) as TaskResult[]
    return results.map((result, n) => checkedResult(from, to[n], result))
  }

  async handoff(target: Target, input: unknown, options: HandoffOptions, { at }: Caller): Promise<void> {
    const to = addressee(this.definition.name, target)
    const sent = { to: to.name, input: to.input(input), options: plain(options, "the options of a task") }
    await this.parts.calls.make({ method: "handoff", ...sent, path: at.path })
  }

  /** Goes to the node with what the handler has emitted. */
  reply(output: unknown): void {
    this.replies.push(plain(output ?? null, "a reply"))
  }

  llm(by: Caller): Llm<ModelTool> {
    const { agent, facts } = this.parts
    return llmOf({
      who: `"${agent.name}"`,
      defaults: facts.llm,
      now: () => Date.now(),
      specOf,
      begin: (several) => this.#llmCalls(by, several ? by.at.branch() : by.at),
    })
  }

  #llmCalls({ ctx }: Caller, at: Positions): LlmCalls<ModelTool> {
    const { calls } = this.parts
    return {
      // what comes piece by piece would cross piece by piece: it comes in one
      complete: async (request, { priority, deadlineMs }) => {
        this.mustBeOpen("asked a model")
        const sent = { request: plain(request, "a request to a model") as typeof request, priority, deadlineMs }
        return (await calls.make({ method: "complete", ...sent, position: at.next() })) as BrokerCompletion
      },
      embed: async (request, { priority, deadlineMs }) => {
        this.mustBeOpen("asked a model")
        const sent = { request: plain(request, "texts for a model") as typeof request, priority, deadlineMs }
        return (await calls.make({ method: "embed", ...sent, position: at.next() })) as BrokerEmbeddings
      },
      prepareTool: (tool, call) => {
        const own = at.branch()
        if (isStepTool(tool)) {
          const origin = { core: this, parent: ctx, at: own, event: this.parts.event }
          const show = async (output: unknown): Promise<string> => {
            const what = { method: "show", output: plain(output, "what a tool returned"), path: own.path } as const
            return String(await calls.make(what))
          }
          return () => runStepTool(tool, call, origin, show)
        }
        return async () => {
          const what = { method: "model-tool", name: tool.name, call, path: own.path } as const
          const work = (order: unknown): Promise<unknown> =>
            this.#perform(tool, checkInput(this.definition.name, tool, call.arguments), order as ToolOrder)
          return (await calls.make(what, work)) as ToolOutcome
        }
      },
    }
  }

  checkDraft(draft: EventDraft): void {
    this.#gate.check(draft)
  }

  mustBeOpen(did: string, what?: string): void {
    if (this.parts.isOpen()) return
    const deed = what === undefined ? did : `${did} "${what}"`
    throw new RetryableError(`"${this.definition.name}" ${deed} after its step had ended`, { code: "STEP_ENDED" })
  }
}
