import type { EventDraft } from "../../bus/event.js"
import { TerminalError } from "../../errors.js"
import type { Log } from "../../telemetry/ports.js"
import type { AskOptions } from "../ask.js"
import type { StepContext } from "../context.js"
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
export interface HoldableContext extends StepContext {
  /** Keeps the step from being suspended until the returned function is called. */
  hold(): () => void
  /** The step's time begins when the returned function is called. */
  untimed(): () => void
  /** @param perform has the tool's code run */
  callTool(tool: AnyTool, input: unknown, perform: Perform): Promise<unknown>
}

/** @param tools of the agent */
export function hostContext(ctx: HoldableContext, tools: readonly AnyTool[]): HostContext {
  return {
    agent: ctx.agent,
    signal: ctx.signal,
    log: ctx.log,
    record: (name, data) => ctx.record(name, data),
    emit: (draft) => ctx.emit(draft),
    hold: () => ctx.hold(),
    call: (what, work) => {
      switch (what.method) {
        case "run":
          return ctx.run(what.name, () => work())
        case "sleep":
          return ctx.sleep(what.ms)
        case "ask":
          return ctx.ask(what.question, what.options as AskOptions)
        case "tool":
          return ctx.callTool(toolOf(ctx.agent, tools, what.name), what.input, (way, idempotencyKey) => {
            const order: ToolOrder = { way, idempotencyKey }
            return work(order)
          })
      }
    },
  }
}

/** @throws TerminalError `TOOL_INPUT`: node and worker have loaded the same file, so it is there */
function toolOf(agent: string, tools: readonly AnyTool[], name: string): AnyTool {
  const tool = tools.find((each) => each.name === name)
  if (tool !== undefined) return tool
  throw new TerminalError(`"${agent}" cannot call tool "${name}": it has no such tool`, { code: "TOOL_INPUT" })
}
