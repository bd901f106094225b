import { ensureError, isMurmurError, TerminalError } from "../../errors.js"
import type { ToolOutcome } from "../../gateways/llm/port.js"
import type { ToolCall } from "../../gateways/messages/message.js"
import { Branch, type BranchOrigin } from "../branch-context.js"
import { Positions } from "../positions.js"
import { isOutcome } from "../work-outcome.js"
import type { StepTool } from "./step-tool.js"

/** What the step's own tools say is wrong with what the model wants. */
const TELLABLE = new Set([
  "EMIT_UNDECLARED",
  "EVENT_DATA",
  "EVENT_KEY",
  "STATE_ENTRY",
  "STATE_NONE",
  "NOT_JSON",
  "ASK_OPTION",
  "DELEGATE_OPTION",
])

/**
 * Runs one of the step's own tools for a model. What it emits and records is part of the step once it has returned;
 * nothing of it when it throws. What the model is told of an error is journaled: it is told the same when the step runs
 * again, and the tool does not run.
 *
 * @param show makes of an output what the model is shown
 * @throws what keeps the step itself from going on
 */
export async function runStepTool(
  tool: StepTool,
  call: ToolCall,
  origin: BranchOrigin,
  show: (output: unknown) => Promise<string>,
): Promise<ToolOutcome> {
  const checked = tool.input.safeParse(call.arguments)
  if (!checked.success) {
    const issues = checked.error.issues.map(({ path, message }) => `${path.join(".") || "the whole"}: ${message}`)
    return { content: `The arguments of "${tool.name}" do not fit: ${issues.join("; ")}`, isError: true }
  }
  const { core, parent } = origin
  const note = `told of ${tool.name}`
  const noted = Positions.always(origin.at.next())
  const before = await core.recalled(note, noted)
  if (before !== undefined) return { content: String(before), isError: true }
  const branch = new Branch(origin)
  let output: unknown
  try {
    output = await tool.run(checked.data, branch)
    branch.end()
  } catch (error) {
    if (parent.signal.aborted || !isTellable(error)) throw error
    const content = await show(`Error: ${ensureError(error).message}`)
    core.mustBeOpen("called tool", tool.name)
    return { content: await core.run(note, () => content, noted), isError: true }
  }
  return { content: await show(output), isError: false }
}

function isTellable(error: unknown): boolean {
  return isMurmurError(error) && (error instanceof TerminalError || TELLABLE.has(error.code)) && isOutcome(error)
}
