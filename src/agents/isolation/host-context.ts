import type { EventDraft } from "../../bus/event.js"
import { TerminalError } from "../../errors.js"
import type { Manner } from "../../gateways/llm/port.js"
import type { Log } from "../../telemetry/ports.js"
import type { AskOptions } from "../ask.js"
import type { WholeContext } from "../branch-context.js"
import type { GatherTask } from "../delegation/delegation.js"
import type { DelegateOptions, GatherOptions, HandoffOptions } from "../delegation/options.js"
import { Positions } from "../positions.js"
import type { Caller } from "../step-calls.js"
import type { AttemptCore } from "../step-core.js"
import type { Perform } from "../tools/perform-tool.js"
import type { AnyTool } from "../tools/tool.js"
import type { Call, ToolOrder } from "./wire.js"

/** A step's context as its run in a worker uses it. */
export interface HostContext {
  readonly agent: string
  readonly signal: AbortSignal
  readonly log: Log
  record(name: string, data: unknown): void
  emit(draft: EventDraft): void
  reply(output: unknown): void
  /**
   * Makes a call of the handler.
   *
   * @param work does in the worker what only the worker can
   */
  call(what: Call, work: (input?: unknown) => Promise<unknown>): Promise<unknown>
  /** Keeps the step from being suspended until the returned function is called: the handler may be about to go on. */
  hold(): () => void
}

/** A context as the node's own runtime gives it. */
export interface HoldableContext extends WholeContext {
  readonly core: AttemptCore
  /** Keeps the step from being suspended until the returned function is called. */
  hold(): () => void
  /** The step's time begins when the returned function is called. */
  untimed(): () => void
}

/** @param tools of the agent */
export function hostContext(ctx: HoldableContext, tools: readonly AnyTool[]): HostContext {
  return {
    agent: ctx.agent,
    signal: ctx.signal,
    log: ctx.log,
    record: (name, data) => ctx.record(name, data),
    emit: (draft) => ctx.emit(draft),
    reply: (output) => ctx.reply(output),
    hold: () => ctx.hold(),
    call: (what, work) => answer(ctx, tools, what, work),
  }
}

async function answer(
  ctx: HoldableContext,
  tools: readonly AnyTool[],
  what: Call,
  work: (input?: unknown) => Promise<unknown>,
): Promise<unknown> {
  const { core } = ctx
  const by: Caller = { ctx, at: "path" in what ? Positions.ofBranch(what.path) : Positions.always(what.position) }
  const perform: Perform = (way, idempotencyKey) => {
    const order: ToolOrder = { way, idempotencyKey }
    return work(order)
  }
  core.mustBeOpen(what.method)
  switch (what.method) {
    case "run":
      return core.run(what.name, () => work(), by.at)
    case "recall":
      return core.recalled(what.name, by.at)
    case "sleep":
      return core.sleep(what.ms, by.at)
    case "ask":
      return core.ask(what.question, what.options as AskOptions, by.at)
    case "tool":
      return core.toolCalls.call(toolOf(ctx.agent, tools, what.name), what.input, perform, by.at)
    case "complete":
      return core.llmCalls(by).complete(what.request, manner(what))
    case "embed":
      return core.llmCalls(by).embed(what.request, manner(what))
    case "model-tool":
      return core.llmCalls(by).toolElsewhere(toolOf(ctx.agent, tools, what.name), what.call, () => perform)
    case "show":
      return core.llmCalls(by).show(what.output)
    case "delegate":
      return core.delegate(what.to, what.input, what.options as DelegateOptions, by)
    case "gather":
      return core.gather(what.tasks as readonly GatherTask[], what.options as GatherOptions, by)
    case "handoff":
      return core.handoff(what.to, what.input, what.options as HandoffOptions, by)
  }
}

/** What comes piece by piece is read in the node: the worker is given the whole. */
function manner({ priority, deadlineMs }: { priority?: number | undefined; deadlineMs?: number | undefined }): Manner {
  return { priority, deadlineMs, onPart: undefined }
}

/** @throws TerminalError `TOOL_INPUT`: node and worker have loaded the same file, so it is there */
function toolOf(agent: string, tools: readonly AnyTool[], name: string): AnyTool {
  const tool = tools.find((each) => each.name === name)
  if (tool !== undefined) return tool
  throw new TerminalError(`"${agent}" cannot call tool "${name}": it has no such tool`, { code: "TOOL_INPUT" })
}
