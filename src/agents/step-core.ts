import type { EventDraft } from "../bus/event.js"
import type { Llm } from "../gateways/llm/llm.js"
import { llmOf } from "../gateways/llm/llm-of.js"
import { Bill } from "../gateways/llm/port.js"
import type { AskOptions } from "./ask.js"
import type { AgentDefinition } from "./define-agent.js"
import type { Delegation, DelegationCaller, GatherTask } from "./delegation/delegation.js"
import type { DelegateOptions, GatherOptions, HandoffOptions } from "./delegation/options.js"
import { summarise } from "./delegation/summary.js"
import type { Target } from "./delegation/target.js"
import type { TaskResult } from "./delegation/task.js"
import type { Effects } from "./effects.js"
import type { StepMeter } from "./guards/guards.js"
import { llmCalls, llmPort, type StepLlmCalls } from "./llm/step-llm.js"
import { conversationOf } from "./minds/history/compose.js"
import type { Positions } from "./positions.js"
import type { StepUsage } from "./sessions/record.js"
import { type Caller, type ModelTool, performerOf, type StepCore } from "./step-calls.js"
import type { Step, StepParts } from "./step-context.js"
import type { Run, StepPorts } from "./step-ports.js"
import type { Perform } from "./tools/perform-tool.js"
import type { AnyTool } from "./tools/tool.js"
import type { ToolCalls } from "./tools/tool-calls.js"

/** What the contexts of one attempt share, made when it is first used: most steps of agents without state use none of it. */
export class AttemptCore implements StepCore {
  /** What the step has used of models, answers that it was given before included. */
  readonly bill = new Bill()
  /** When the time of the attempt is up, in milliseconds since 1970; or a moment later. */
  readonly deadlineMs: number
  #toolCalls: ToolCalls | undefined
  #delegation: Delegation | undefined

  constructor(
    private readonly parts: StepParts,
    readonly of: Run,
    private readonly step: Step,
    readonly effects: Effects,
  ) {
    this.deadlineMs = parts.clock.now() + parts.agent.stepTimeoutMs
  }

  get definition(): AgentDefinition {
    return this.parts.agent
  }

  get ports(): StepPorts {
    return this.parts.ports
  }

  get toolCalls(): ToolCalls {
    this.#toolCalls ??= this.parts.tools(this.of, this.step, this.effects)
    return this.#toolCalls
  }

  /**
   * Whether outsiders have a say in what the step does: by what its tools have read, or by what its session remembers.
   * What it emits from then on is theirs as well.
   */
  get tainted(): boolean {
    if (this.#toolCalls?.tainted === true) return true
    return this.definition.history !== undefined && conversationOf(this.effects.state).outside === true
  }

  /** What was used of models, for the step's commit. */
  get usage(): StepUsage | undefined {
    if (this.bill.turns === 0) return undefined
    const { usage, costMicroUsd } = this.bill.total
    const { inputTokens, outputTokens } = usage
    return { inputTokens, outputTokens, ...(costMicroUsd !== undefined && { costMicroUsd }) }
  }

  get delegation(): Delegation {
    this.#delegation ??= this.parts.delegation(this.of, this.step, this.effects)
    return this.#delegation
  }

  /** Counts what the step spends on models. */
  get meter(): StepMeter {
    this.of.meter ??= this.parts.ports.guards.meter(this.of.input.event)
    return this.of.meter
  }

  /** @throws GuardTripped when a budget has stopped the step, and its handler has gone on all the same */
  mustBeInBudget(): void {
    if (this.of.meter?.exceeded !== undefined) throw this.of.meter.exceeded
  }

  run<T>(name: string, work: () => Promise<T> | T, at: Positions): Promise<T> {
    return this.effects.run(name, work, at)
  }

  recalled(name: string, at: Positions): Promise<unknown> {
    return this.effects.recalled(name, at)
  }

  sleep(ms: number, at: Positions): Promise<void> {
    return this.effects.sleep(ms, at)
  }

  ask(question: string, options: AskOptions, at: Positions): Promise<string> {
    return this.effects.ask(question, options, at)
  }

  tool(tool: AnyTool, given: unknown, input: unknown, at: Positions): Promise<unknown> {
    return this.toolCalls.call(tool, given, this.performer(tool)(input), at)
  }

  /** Runs the code of a tool in this process. */
  performer(tool: AnyTool): (input: unknown) => Perform {
    return (input) => performerOf(this.step, this.parts.clock)(tool, input)
  }

  delegate(to: Target, input: unknown, options: DelegateOptions, by: Caller): Promise<unknown> {
    return this.delegation.delegate(to, input, options, this.#caller(by))
  }

  gather(tasks: readonly GatherTask[], options: GatherOptions, by: Caller): Promise<TaskResult[]> {
    return this.delegation.gather(tasks, options, this.#caller(by))
  }

  async handoff(to: Target, input: unknown, options: HandoffOptions, by: Caller): Promise<void> {
    const name = typeof to === "string" ? to : to.name
    const { teller } = this.of.input
    teller?.handoff(name)
    try {
      await this.delegation.handoff(to, input, options, this.#caller(by))
      teller?.handoff(name, true)
    } catch (error) {
      teller?.handoff(name, false)
      throw error
    }
  }

  #caller(by: Caller): DelegationCaller {
    return { at: by.at, summarise: (messages) => summarise({ whole: by.ctx.whole, llm: this.llm(by) }, messages) }
  }

  reply(output: unknown): void {
    this.delegation.reply(output)
  }

  llm(by: Caller): Llm<ModelTool> {
    return llmOf(llmPort({ core: this, ...by }))
  }

  /** What one call of a model asks and does, at positions that are numbered elsewhere. */
  llmCalls(by: Caller): StepLlmCalls {
    return llmCalls({ core: this, ...by })
  }

  checkDraft(draft: EventDraft): void {
    this.parts.checkDraft(draft)
  }

  redact(text: string): string {
    return this.parts.ports.redact(text)
  }

  mustBeOpen(did: string, what?: string): void {
    this.step.mustBeOpen(did, what)
  }
}
