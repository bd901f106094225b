import { ensureError, isMurmurError, TerminalError } from "../../errors.js"
import type { ToolOutcome } from "../../gateways/llm/port.js"
import type { ToolCall } from "../../gateways/messages/message.js"
import { Branch, type BranchOrigin } from "../branch-context.js"
import { isOutcome } from "../work-outcome.js"
import type { StepTool } from "./step-tool.js"

/** What the step's own tools say is wrong with what the model wants; the same on each attempt. */
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
 * nothing of it when it throws.
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
  const branch = new Branch(origin)
  try {
    const output = await tool.run(checked.data, branch)
    branch.end()
    return { content: await show(output), isError: false }
  } catch (error) {
    const isTellable = isMurmurError(error) && (error instanceof TerminalError || TELLABLE.has(error.code))
    if (!isTellable || !isOutcome(error)) throw error
    return { content: await show(`Error: ${ensureError(error).message}`), isError: true }
  }
}
