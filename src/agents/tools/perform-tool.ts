import { RetryableError } from "../../errors.js"
import type { Clock } from "../clock.js"
import type { AnyTool, ToolContext } from "./tool.js"
import { checkReconciled, plainOutput } from "./tool-data.js"

/** What is asked of a tool: to do it, or to find out whether it was done. */
export type ToolWay = "run" | "reconcile"

/** Has a tool do something where its code runs: in the node, or in a worker. */
export type Perform = (way: ToolWay, idempotencyKey: string) => Promise<unknown>

/** One call of a tool, where its code runs. */
export interface ToolRun {
  readonly tool: AnyTool
  /** As its schema returned it. */
  readonly input: unknown
  /** What it is given, besides its own signal. `signal` is that of the step. */
  readonly ctx: Omit<ToolContext, "idempotencyKey">
  readonly clock: Clock
}

/**
 * Runs a tool's code for as long as it may take. What it does after that is not looked at.
 *
 * @returns what it returned, as JSON gives it back
 * @throws RetryableError `TOOL_TIMEOUT`; TerminalError `TOOL_OUTPUT`; what the tool throws
 */
export async function performTool(
  { tool, input, ctx, clock }: ToolRun,
  way: ToolWay,
  idempotencyKey: string,
): Promise<unknown> {
  const own = new AbortController()
  const onStepEnd = (): void => own.abort(ctx.signal.reason)
  if (ctx.signal.aborted) onStepEnd()
  else ctx.signal.addEventListener("abort", onStepEnd, { once: true })
  let endTime = (): void => {}
  const timeUp = new Promise<never>((_, reject) => {
    endTime = clock.after(tool.timeoutMs, () => {
      const error = tooSlow(tool, way)
      own.abort(error)
      reject(error)
    })
  })
  try {
    const given = { ...ctx, idempotencyKey, signal: own.signal }
    const returned = await Promise.race([Promise.resolve(tool[way]?.(input, given)), timeUp])
    const output = plainOutput(tool, returned)
    return way === "run" ? output : checkReconciled(tool, output)
  } finally {
    endTime()
    ctx.signal.removeEventListener("abort", onStepEnd)
  }
}

function tooSlow({ name, timeoutMs }: AnyTool, way: ToolWay): RetryableError {
  const what = way === "run" ? `Tool "${name}"` : `reconcile of tool "${name}"`
  return new RetryableError(`${what} took longer than ${timeoutMs} ms (timeoutMs)`, {
    code: "TOOL_TIMEOUT",
    details: { tool: name, timeoutMs },
  })
}
