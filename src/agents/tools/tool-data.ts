import { ensureError, TerminalError } from "../../errors.js"
import { plain } from "../plain.js"
import type { AnyTool, Reconciled } from "./tool.js"

/** What a tool is called with, as its schema returns it. @throws TerminalError `TOOL_INPUT` */
export function checkInput(agent: string, tool: AnyTool, given: unknown): unknown {
  return parse(tool.input, given, `"${agent}" cannot call tool "${tool.name}": its input`, "TOOL_INPUT")
}

/** What a tool has returned, as its schema returns it. @throws TerminalError `TOOL_OUTPUT` */
export function checkOutput(tool: AnyTool, returned: unknown): unknown {
  if (tool.output === undefined) return returned
  return parse(tool.output, returned, `Tool "${tool.name}" was called, but its output`, "TOOL_OUTPUT")
}

/** What a tool has returned, as JSON gives it back. @throws TerminalError `TOOL_OUTPUT` */
export function plainOutput(tool: AnyTool, returned: unknown): unknown {
  return orTerminal(() => plain(returned, `the output of tool "${tool.name}"`), "TOOL_OUTPUT")
}

/** What a tool is called with, as JSON gives it back. @throws TerminalError `TOOL_INPUT` */
export function plainInput(tool: AnyTool, given: unknown): unknown {
  return orTerminal(() => plain(given, `the input of tool "${tool.name}"`), "TOOL_INPUT")
}

/** What `reconcile` has returned. @throws TerminalError `TOOL_OUTPUT` when it is none of what it may return */
export function checkReconciled(tool: AnyTool, returned: unknown): Reconciled<unknown> {
  if (typeof returned === "object" && returned !== null && "done" in returned) {
    if (returned.done === false) return { done: false }
    if (returned.done === true) return { done: true, output: "output" in returned ? returned.output : null }
  }
  throw new TerminalError(
    `Tool "${tool.name}" cannot say what became of a call: reconcile must return { done: true, output } or { done: false }, has returned ${JSON.stringify(returned)}`,
    { code: "TOOL_OUTPUT", details: { tool: tool.name } },
  )
}

function parse(schema: NonNullable<AnyTool["output"]>, value: unknown, what: string, code: string): unknown {
  const checked = orTerminal(() => schema.safeParse(value), code)
  if (checked.success) return checked.data
  const issues = checked.error.issues.map(({ path, message }) => ({ path: path.join("."), message }))
  const first = issues[0]
  throw new TerminalError(`${what} does not fit its schema at "${first?.path}": ${first?.message}`, {
    code,
    details: { issues },
  })
}

function orTerminal<T>(work: () => T, code: string): T {
  try {
    return work()
  } catch (cause) {
    throw new TerminalError(ensureError(cause).message, { code, cause })
  }
}
