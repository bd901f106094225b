import type { z } from "zod"
import { TerminalError } from "../../errors.js"
import type { AgentDefinition } from "../define-agent.js"
import { plain } from "../plain.js"
import type { TaskResult } from "./task.js"

/** An agent that takes tasks: its definition, or its name when its code is elsewhere. */
export type Target = AgentDefinition | string

/** What an agent's tasks are about, as they are given. */
export type InputOf<A> = A extends { readonly input: z.ZodType<unknown, infer In> } ? In : unknown

/** What an agent replies. */
export type OutputOf<A> = A extends { readonly output: z.ZodType<infer Out> } ? Out : unknown

/** A result for each of several tasks. */
export type GatherResults<T extends readonly { readonly agent: Target }[]> = {
  -readonly [N in keyof T]: TaskResult<OutputOf<T[N]["agent"]>>
}

/** The agent that a task goes to. */
export interface Addressee {
  readonly name: string
  /** `undefined` when only its name is known: then it checks by itself. */
  readonly output: z.ZodType | undefined
  /** What it is given. @throws TerminalError `DELEGATE_INPUT` */
  input(given: unknown): unknown
}

const NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/

/** @throws TerminalError `DELEGATE_TARGET` when it takes no tasks, or is no agent */
export function addressee(from: string, to: Target): Addressee {
  const fail = (why: string): never => {
    throw new TerminalError(`"${from}" cannot delegate: ${why}`, { code: "DELEGATE_TARGET" })
  }
  if (typeof to === "string") {
    if (!NAME.test(to)) fail(`${JSON.stringify(to)} is no name of an agent`)
    return { name: to, output: undefined, input: (given) => plain(given, `the input for "${to}"`) }
  }
  if (typeof to !== "object" || to === null || typeof to.name !== "string") {
    return fail(`it takes an agent, or its name, is ${String(to)}`)
  }
  const { name, input, output } = to
  if (input === undefined) return fail(`"${name}" takes no tasks: it has no "input"`)
  return { name, output, input: (given) => checkInput(from, name, input, given) }
}

function checkInput(from: string, to: string, schema: z.ZodType, given: unknown): unknown {
  const checked = schema.safeParse(given)
  if (checked.success) return plain(checked.data, `the input for "${to}"`)
  const first = checked.error.issues[0]
  throw new TerminalError(
    `"${from}" cannot delegate to "${to}": the input does not fit at "${first?.path.join(".")}": ${first?.message}`,
    { code: "DELEGATE_INPUT", details: { to } },
  )
}

/** The output that came back, as the schema returns it. @throws TerminalError `DELEGATE_OUTPUT` */
export function checkTaskOutput(from: string, { name, output }: Addressee, came: unknown): unknown {
  if (output === undefined) return came
  const checked = output.safeParse(came)
  if (checked.success) return checked.data
  const first = checked.error.issues[0]
  throw new TerminalError(
    `What "${name}" replied to "${from}" does not fit its "output" at "${first?.path.join(".")}": ${first?.message}`,
    { code: "DELEGATE_OUTPUT", details: { to: name } },
  )
}

/** A result whose output is as the schema returns it; one that does not fit is an error. */
export function checkedResult(from: string, to: Addressee | undefined, result: TaskResult): TaskResult {
  if (!result.ok || to === undefined) return result
  try {
    return { ok: true, output: checkTaskOutput(from, to, result.output) }
  } catch (error) {
    if (!(error instanceof TerminalError)) throw error
    return { ok: false, error: { code: error.code, message: error.message } }
  }
}
