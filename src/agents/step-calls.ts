import type { EventDraft } from "../bus/event.js"
import type { Llm } from "../gateways/llm/llm.js"
import type { Bill } from "../gateways/llm/port.js"
import type { AskOptions } from "./ask.js"
import type { WholeContext } from "./branch-context.js"
import type { StepContext } from "./context.js"
import type { AgentDefinition } from "./define-agent.js"
import type { Delegation, DelegationCaller, GatherTask } from "./delegation/delegation.js"
import type { DelegateOptions, GatherOptions, HandoffOptions } from "./delegation/options.js"
import { summarise } from "./delegation/summary.js"
import type { TaskResult } from "./delegation/task.js"
import type { Effects } from "./effects.js"
import type { StepMeter } from "./guards/guards.js"
import type { StepTool } from "./llm/step-tool.js"
import type { Positions } from "./positions.js"
import { type Perform, performTool } from "./tools/perform-tool.js"
import type { AnyTool, ToolFunctions } from "./tools/tool.js"
import type { ToolCalls } from "./tools/tool-calls.js"
import { toolFunctions } from "./tools/tool-functions.js"

/** What a model may call in a step. */
export type ModelTool = AnyTool | StepTool

/** The step behind a context: what is one for all its branches. */
export interface StepCore {
  readonly definition: AgentDefinition
  readonly effects: Effects
  readonly toolCalls: ToolCalls
  readonly delegation: Delegation
  /** What the step has used of models, answers that it was given before included. */
  readonly bill: Bill
  /** Counts what the step spends on models. */
  readonly meter: StepMeter
  /** Runs the code of a tool in this process. */
  performer(tool: AnyTool, input: unknown): Perform
  /** @param ctx the context that asks, for the step's own tools */
  llm(ctx: WholeContext, at: Positions): Llm<ModelTool>
  /** @throws MurmurError when the agent may not emit it */
  checkDraft(draft: EventDraft): void
  /** @throws RetryableError `STEP_ENDED` */
  mustBeOpen(did: string, what?: string): void
}

/**
 * The journaled calls of a context, at the positions of a step or of one of its branches. Functions of their own, so that
 * a handler may take them out of its context.
 */
export class StepCalls {
  #llm: Llm<ModelTool> | undefined
  #tools: ToolFunctions | undefined

  constructor(
    private readonly core: StepCore,
    private readonly ctx: WholeContext,
    readonly at: Positions,
  ) {}

  readonly run = async <T>(name: string, work: () => Promise<T> | T): Promise<T> => {
    this.core.mustBeOpen("ran", name)
    return this.core.effects.run(name, work, this.at)
  }

  readonly sleep = async (ms: number): Promise<void> => {
    this.core.mustBeOpen("slept")
    return this.core.effects.sleep(ms, this.at)
  }

  readonly ask = async (question: string, options: AskOptions): Promise<string> => {
    this.core.mustBeOpen("asked")
    return this.core.effects.ask(question, options, this.at)
  }

  readonly delegate = async (
    to: AgentDefinition | string,
    input: unknown,
    options: DelegateOptions = {},
  ): Promise<unknown> => {
    this.core.mustBeOpen("delegated")
    return this.core.delegation.delegate(to, input, options, this.#caller)
  }

  readonly gather = async (tasks: readonly GatherTask[], options: GatherOptions = {}): Promise<TaskResult[]> => {
    this.core.mustBeOpen("delegated")
    return this.core.delegation.gather(tasks, options, this.#caller)
  }

  readonly handoff = async (
    to: AgentDefinition | string,
    input: unknown,
    options: HandoffOptions = {},
  ): Promise<void> => {
    this.core.mustBeOpen("handed off")
    return this.core.delegation.handoff(to, input, options, this.#caller)
  }

  get #caller(): DelegationCaller {
    return { at: this.at, summarise: (messages) => summarise({ whole: this.ctx.whole, llm: this.llm }, messages) }
  }

  readonly reply = (output: unknown): void => {
    this.core.mustBeOpen("replied")
    this.core.delegation.reply(output)
  }

  /** Makes a call of a tool, whose code runs where `perform` has it run. */
  readonly callTool = async (tool: AnyTool, input: unknown, perform: Perform): Promise<unknown> => {
    this.core.mustBeOpen("called tool", tool.name)
    return this.core.toolCalls.call(tool, input, perform, this.at)
  }

  get tools(): ToolFunctions {
    const { definition } = this.core
    this.#tools ??= toolFunctions(definition.name, definition.tools, (tool, given, input) =>
      this.callTool(tool, given, this.core.performer(tool, input)),
    )
    return this.#tools
  }

  get llm(): Llm<ModelTool> {
    this.#llm ??= this.core.llm(this.ctx, this.at)
    return this.#llm
  }
}

/** Runs the code of a tool in this process, for a context. */
export function performerOf(
  ctx: Pick<StepContext, "agent" | "key" | "attempt" | "signal" | "log">,
  clock: Parameters<typeof performTool>[0]["clock"],
): (tool: AnyTool, input: unknown) => Perform {
  const { agent, key, attempt, signal, log } = ctx
  return (tool, input) => (way, idempotencyKey) =>
    performTool({ tool, input, clock, ctx: { agent, key, attempt, signal, log } }, way, idempotencyKey)
}
