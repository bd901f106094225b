import type { EventDraft } from "../bus/event.js"
import type { Llm } from "../gateways/llm/llm.js"
import type { AskOptions } from "./ask.js"
import type { BranchContext, WholeContext } from "./branch-context.js"
import type { StepContext } from "./context.js"
import type { AgentDefinition } from "./define-agent.js"
import type { GatherTask } from "./delegation/delegation.js"
import type { DelegateOptions, GatherOptions, HandoffOptions } from "./delegation/options.js"
import type { Target } from "./delegation/target.js"
import type { TaskResult } from "./delegation/task.js"
import type { StepTool } from "./llm/step-tool.js"
import { Positions } from "./positions.js"
import { type Perform, performTool } from "./tools/perform-tool.js"
import type { AnyTool, ToolFunctions } from "./tools/tool.js"
import { toolFunctions } from "./tools/tool-functions.js"
import { outcomeOf, type WorkError, type WorkOutcome, type WorkPlace } from "./work-outcome.js"

/** What a model may call in a step. */
export type ModelTool = AnyTool | StepTool

/** The context that calls, and whose positions its calls have. */
export interface Caller {
  readonly ctx: WholeContext
  readonly at: Positions
}

/** The step behind a context, one for all its branches: in a node, or in a worker of one. */
export interface StepCore {
  readonly definition: AgentDefinition
  run<T>(name: string, work: () => Promise<T> | T, at: Positions): Promise<T>
  /** What `run` has answered under this name and at this place before; `undefined` when nothing is noted there. */
  recalled(name: string, at: Positions): Promise<unknown>
  sleep(ms: number, at: Positions): Promise<void>
  ask(question: string, options: AskOptions, at: Positions): Promise<string>
  /** @param input what the tool's schema made of what was given */
  tool(tool: AnyTool, given: unknown, input: unknown, at: Positions): Promise<unknown>
  /** @param by with positions of its own, as all that stands for several calls */
  delegate(to: Target, input: unknown, options: DelegateOptions, by: Caller): Promise<unknown>
  gather(tasks: readonly GatherTask[], options: GatherOptions, by: Caller): Promise<TaskResult[]>
  handoff(to: Target, input: unknown, options: HandoffOptions, by: Caller): Promise<void>
  reply(output: unknown): void
  llm(by: Caller): Llm<ModelTool>
  /** @throws MurmurError when the agent may not emit it */
  checkDraft(draft: EventDraft): void
  /** Takes secrets out of what is written down of errors. Missing in workers: their node does it. */
  redact?(text: string): string
  /** @throws RetryableError `STEP_ENDED` */
  mustBeOpen(did: string, what?: string): void
}

/**
 * The journaled calls of a context, at the positions of a step or of one of its branches. Functions of their own, so that
 * a handler may take them out of its context.
 */
export class StepCalls implements Caller {
  #llm: Llm<ModelTool> | undefined
  #tools: ToolFunctions | undefined

  constructor(
    private readonly core: StepCore,
    readonly ctx: WholeContext,
    readonly at: Positions,
  ) {}

  readonly run = async <T>(name: string, work: () => Promise<T> | T): Promise<T> => {
    this.core.mustBeOpen("ran", name)
    return this.core.run(name, work, this.at)
  }

  readonly outcome = async <T>(name: string, work: (ctx: BranchContext) => Promise<T> | T): Promise<WorkOutcome<T>> => {
    const { core, ctx } = this
    core.mustBeOpen("tried", name)
    const at = Positions.always(this.at.next())
    const note = `outcome of ${name}`
    const place: WorkPlace = {
      signal: ctx.signal,
      branch: () => ctx.branch(),
      before: async () => (await core.recalled(note, at)) as WorkError | undefined,
      noted: async (error) => {
        core.mustBeOpen("tried", name)
        return core.run(note, error, at)
      },
      redact: (text) => core.redact?.(text) ?? text,
    }
    return outcomeOf(place, work)
  }

  readonly sleep = async (ms: number): Promise<void> => {
    this.core.mustBeOpen("slept")
    return this.core.sleep(ms, this.at)
  }

  readonly ask = async (question: string, options: AskOptions): Promise<string> => {
    this.core.mustBeOpen("asked")
    return this.core.ask(question, options, this.at)
  }

  readonly delegate = async (to: Target, input: unknown, options: DelegateOptions = {}): Promise<unknown> => {
    this.core.mustBeOpen("delegated")
    return this.core.delegate(to, input, options, this.#own())
  }

  readonly gather = async (tasks: readonly GatherTask[], options: GatherOptions = {}): Promise<TaskResult[]> => {
    this.core.mustBeOpen("delegated")
    return this.core.gather(tasks, options, this.#own())
  }

  readonly handoff = async (to: Target, input: unknown, options: HandoffOptions = {}): Promise<void> => {
    this.core.mustBeOpen("handed off")
    return this.core.handoff(to, input, options, this.#own())
  }

  /** For what stands for several calls: the same positions in a node and in a worker. */
  #own(): Caller {
    return { ctx: this.ctx, at: this.at.branch() }
  }

  readonly reply = (output: unknown): void => {
    this.core.mustBeOpen("replied")
    this.core.reply(output)
  }

  get tools(): ToolFunctions {
    const { definition } = this.core
    this.#tools ??= toolFunctions(definition.name, definition.tools, async (tool, given, input) => {
      this.core.mustBeOpen("called tool", tool.name)
      return this.core.tool(tool, given, input, this.at)
    })
    return this.#tools
  }

  get llm(): Llm<ModelTool> {
    this.#llm ??= this.core.llm(this)
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
