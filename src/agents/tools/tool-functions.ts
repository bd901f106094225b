import type { AnyTool, ToolFunctions } from "./tool.js"
import { checkInput } from "./tool-data.js"

/**
 * What stands in `ctx.tools`: a function a tool, which checks its input and has the call made.
 *
 * @param call is given what the handler gave, and what the schema made of it
 */
export function toolFunctions(
  agent: string,
  tools: readonly AnyTool[],
  call: (tool: AnyTool, given: unknown, input: unknown) => Promise<unknown>,
): ToolFunctions {
  const functions: Record<string, (given: unknown) => Promise<unknown>> = Object.create(null)
  for (const tool of tools) {
    functions[tool.name] = async (given) => call(tool, given, checkInput(agent, tool, given))
  }
  return Object.freeze(functions)
}
