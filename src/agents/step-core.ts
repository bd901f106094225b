import type { EventDraft } from "../bus/event.js"
import type { Llm } from "../gateways/llm/llm.js"
import { Bill } from "../gateways/llm/port.js"
import type { WholeContext } from "./branch-context.js"
import type { AgentDefinition } from "./define-agent.js"
import type { Delegation } from "./delegation/delegation.js"
import type { Effects } from "./effects.js"
import type { StepMeter } from "./guards/guards.js"
import type { Positions } from "./positions.js"
import { type ModelTool, performerOf, type StepCore } from "./step-calls.js"
import type { Step, StepParts } from "./step-context.js"
import type { Run } from "./step-ports.js"
import type { Perform } from "./tools/perform-tool.js"
import type { AnyTool } from "./tools/tool.js"
import type { ToolCalls } from "./tools/tool-calls.js"

/** What the contexts of one attempt share, made when it is first used: most steps of agents without state use none of it. */
export class AttemptCore implements StepCore {
  /** What the step has used of models, answers that it was given before included. */
  readonly bill = new Bill()
  #toolCalls: ToolCalls | undefined
  #delegation: Delegation | undefined
  #meter: StepMeter | undefined

  constructor(
    private readonly parts: StepParts,
    private readonly of: Run,
    private readonly step: Step,
    readonly effects: Effects,
  ) {}

  get definition(): AgentDefinition {
    return this.parts.agent
  }

  get toolCalls(): ToolCalls {
    this.#toolCalls ??= this.parts.tools(this.of, this.step, this.effects)
    return this.#toolCalls
  }

  /** What was called of tools so far; `undefined` when nothing was. */
  get madeToolCalls(): ToolCalls | undefined {
    return this.#toolCalls
  }

  /** Counts what the step spends on models. */
  get meter(): StepMeter {
    this.#meter ??= this.parts.meter(this.of)
    return this.#meter
  }

  /** @throws GuardTripped when a budget has stopped the step, and its handler has gone on all the same */
  mustBeInBudget(): void {
    if (this.#meter?.exceeded !== undefined) throw this.#meter.exceeded
  }

  get delegation(): Delegation {
    this.#delegation ??= this.parts.delegation(this.of, this.step, this.effects)
    return this.#delegation
  }

  /** What was delegated, handed off or replied; `undefined` when nothing was. */
  get madeDelegation(): Delegation | undefined {
    return this.#delegation
  }

  performer(tool: AnyTool, input: unknown): Perform {
    return performerOf(this.step, this.parts.clock)(tool, input)
  }

  llm(ctx: WholeContext, at: Positions): Llm<ModelTool> {
    return this.parts.llm({ core: this, ctx, at, run: this.of })
  }

  checkDraft(draft: EventDraft): void {
    this.parts.checkDraft(draft)
  }

  mustBeOpen(did: string, what?: string): void {
    this.step.mustBeOpen(did, what)
  }
}
