import type { z } from "zod"
import type { StepContext } from "../context.js"

/**
 * Something that a model may do in a step which is no call into the world: emit an event, ask a person, hand work to
 * another agent. It runs each time that the step does, and what it does of effect goes through the context that it is
 * given, which is a branch of the step's.
 */
export interface StepTool {
  readonly kind: "step"
  /** Letters, digits, `_` and `-`, at most 64. */
  readonly name: string
  readonly description: string
  readonly input: z.ZodObject
  /** What it returns is told to the model; what it throws as well, unless the step itself cannot go on. */
  run(input: Readonly<Record<string, unknown>>, ctx: StepContext): Promise<unknown>
}

/** Whether a tool is one of the step itself. */
export function isStepTool(tool: object): tool is StepTool {
  return "kind" in tool && tool.kind === "step"
}
