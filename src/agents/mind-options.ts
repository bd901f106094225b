import type { z } from "zod"
import { CompletionOptions } from "../gateways/completion.js"
import type { AgentDefinition } from "./define-agent.js"
import { type CheckedHistory, checkHistory, type HistoryOptions } from "./minds/history/options.js"

/** What an agent that thinks, or that takes tasks, says of itself. */
export interface MindOptions {
  /** Which model `ctx.llm` asks: `provider/model` or an alias; several in the order in which they are tried. */
  readonly model?: string | readonly string[]
  /** How it asks, where a call says nothing else: temperature, maxTokens, ... */
  readonly llm?: CompletionOptions
  /** What its tasks are about: with it other agents may delegate to it (`ctx.delegate`). */
  readonly input?: z.ZodObject
  /** What it replies to a task. Default: anything. */
  readonly output?: z.ZodType
}

/** What an agent that is driven by instructions says of itself besides. */
export interface InstructedOptions {
  /** What the model is told: a LiquidJS template over `event`, `state` and `memory`. */
  readonly instructions: string
  /** Whether the model may ask a person. Default false. */
  readonly asks?: boolean
  /** The agents that the model may delegate to. */
  readonly delegates?: readonly AgentDefinition[]
  /** Keeps the conversation of each session, as part of its log. Default: each event is a conversation of its own. */
  readonly history?: HistoryOptions
}

/** Options of minds, checked. */
export interface CheckedMind {
  readonly model: string | readonly string[] | undefined
  readonly llm: CompletionOptions
  readonly input: z.ZodObject | undefined
  readonly output: z.ZodType | undefined
  readonly instructions: string | undefined
  readonly asks: boolean
  readonly delegates: readonly AgentDefinition[]
  readonly history: CheckedHistory | undefined
}

/** Options of minds as they are given: not checked yet. */
export type GivenMind = {
  readonly [Option in keyof (MindOptions & InstructedOptions)]?: (MindOptions & InstructedOptions)[Option] | undefined
} & { readonly handle?: unknown; readonly react?: unknown }

/** @param fail throws `AGENT_OPTION` */
export function checkMind(agent: string, given: GivenMind, fail: (why: string) => never): CheckedMind {
  for (const option of ["model", "llm", "input", "output"] as const) {
    if (given[option] !== undefined && given.react !== undefined) fail(`"${option}" does not go with "react"`)
  }
  for (const option of ["asks", "delegates", "history"] as const) {
    if (given[option] !== undefined && given.instructions === undefined) fail(`"${option}" goes with "instructions"`)
  }
  const { instructions } = given
  if (instructions !== undefined && (typeof instructions !== "string" || instructions.trim() === "")) {
    fail(`"instructions" must be a text that is not empty, is ${JSON.stringify(instructions)}`)
  }
  if (given.asks !== undefined && typeof given.asks !== "boolean") {
    fail(`"asks" must be true or false, is ${String(given.asks)}`)
  }
  return {
    instructions,
    model: checkModel(given.model, fail),
    llm: checkLlm(given.llm, fail),
    input: checkInput(given.input, fail),
    output: checkOutput(given, fail),
    asks: given.asks ?? false,
    delegates: checkDelegates(given.delegates ?? [], fail),
    history: given.history === undefined ? undefined : checkHistory(agent, given.history),
  }
}

function checkModel(model: unknown, fail: (why: string) => never): string | readonly string[] | undefined {
  if (model === undefined) return undefined
  const names = Array.isArray(model) ? model : [model]
  if (names.length > 0 && names.every((name) => typeof name === "string" && name !== "")) {
    return model as string | readonly string[]
  }
  return fail(`"model" must be a name such as "openai/gpt-5-mini", or a list of names, is ${JSON.stringify(model)}`)
}

function checkLlm(llm: unknown, fail: (why: string) => never): CompletionOptions {
  const checked = CompletionOptions.safeParse(llm ?? {})
  if (checked.success) return checked.data
  const [issue] = checked.error.issues
  return fail(`"llm" has a wrong option at "${issue?.path.join(".")}": ${issue?.message}`)
}

function checkInput(input: unknown, fail: (why: string) => never): z.ZodObject | undefined {
  if (input === undefined) return undefined
  const schema = input as Partial<z.ZodObject>
  if (typeof schema?.safeParse === "function" && schema.def?.type === "object") return input as z.ZodObject
  return fail(`"input" must be a z.object, is ${String(input)}`)
}

function checkOutput({ input, output }: GivenMind, fail: (why: string) => never): z.ZodType | undefined {
  if (output === undefined) return undefined
  if (input === undefined) fail(`"output" goes with "input": it is what the agent replies to a task`)
  if (typeof (output as Partial<z.ZodType>)?.safeParse === "function") return output
  return fail(`"output" must be a zod schema, is ${String(output)}`)
}

function checkDelegates(delegates: unknown, fail: (why: string) => never): readonly AgentDefinition[] {
  if (!Array.isArray(delegates)) return fail(`"delegates" must be a list of agents, is ${typeof delegates}`)
  for (const agent of delegates as readonly Partial<AgentDefinition>[]) {
    if (agent?.behaviour === undefined) fail(`"delegates" takes agents made by defineAgent, has ${String(agent)}`)
    if (agent.input === undefined) fail(`"delegates" has "${agent.name}", which takes no tasks: it has no "input"`)
  }
  return delegates
}
