import { z } from "zod"
import type { AnyEventDefinition } from "../../bus/define-event.js"
import { derivedId } from "../../bus/ids.js"
import { MurmurError } from "../../errors.js"
import type { AgentDefinition } from "../define-agent.js"
import type { StepTool } from "../llm/step-tool.js"
import type { AnyTool } from "../tools/tool.js"

/** What a model's tools are made of. */
export interface Equipment {
  readonly name: string
  readonly tools: readonly AnyTool[]
  readonly emits: readonly AnyEventDefinition[]
  readonly asks: boolean
  readonly delegates: readonly AgentDefinition[]
}

const NAME_CHARS_MAX = 64

/**
 * All that the model of an agent may call: the agent's tools, `emit_<type>` for each event that it declares, `ask_person`
 * and `delegate_to_<agent>` where it may.
 *
 * @throws MurmurError `AGENT_OPTION` when two of them have the same name
 */
export function toolsOf({ name, tools, emits, asks, delegates }: Equipment): readonly (AnyTool | StepTool)[] {
  const all = [...tools, ...emits.map(emitTool), ...(asks ? [askTool] : []), ...delegates.map(delegateTool)]
  const names = new Set<string>()
  for (const tool of all) {
    if (names.has(tool.name)) {
      throw new MurmurError(
        `Cannot create agent "${name}": two things that its model may call have the name "${tool.name}"; rename one`,
        { code: "AGENT_OPTION", details: { agent: name } },
      )
    }
    names.add(tool.name)
  }
  return all
}

/**
 * Lets a model emit an event, which the agent has to declare in `emits`. Agents with `instructions` have one for each of
 * theirs; handlers give it to `ctx.llm`.
 *
 * @example
 * await ctx.llm.text("Report what you find.", { tools: [readLog, emitTool(Incident)] })
 */
export function emitTool(event: AnyEventDefinition): StepTool {
  const { type, description } = event
  const object = objectOf(event.schema)
  return {
    kind: "step",
    name: toolName("emit", type),
    description: `Emits the event "${type}".${description === undefined ? "" : ` ${description}`}`,
    input: object ?? z.object({ data: event.schema }),
    run: async (input, ctx) => {
      ctx.emit(event(object === undefined ? input.data : input))
      return "emitted"
    },
  }
}

/** Models call with objects: data that is one is given as it is. */
function objectOf(schema: z.ZodType): z.ZodObject | undefined {
  return schema.def.type === "object" ? (schema as unknown as z.ZodObject) : undefined
}

/** Lets a model ask a person: the step waits as it does for `ctx.ask`. */
export const askTool: StepTool = {
  kind: "step",
  name: "ask_person",
  description:
    "Asks a person and waits for the answer, up to a day. Give all that is needed to decide: the person sees nothing else.",
  input: z.object({
    question: z.string().min(1).describe("In full sentences."),
    choices: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe("What may be answered. Leave it out for an answer in words."),
    default: z
      .string()
      .describe("The answer when nobody gives one in time: what does no harm. One of the choices, if there are any."),
  }),
  run: async ({ question, choices, default: fallback }, ctx) => {
    const options = { default: String(fallback), ...(Array.isArray(choices) && { choices: choices.map(String) }) }
    return { answer: await ctx.ask(String(question), options) }
  },
}

/** Lets a model give tasks to another agent, which takes them by its `input`. */
export function delegateTool(agent: AgentDefinition): StepTool {
  return {
    kind: "step",
    name: toolName("delegate_to", agent.name),
    description: `Hands a task to the agent "${agent.name}" and waits for its reply.${agent.description === undefined ? "" : ` ${agent.description}`}`,
    input: agent.input ?? z.object({}),
    run: (input, ctx) => ctx.delegate(agent, input),
  }
}

/** Models' names of tools have no dots, and 64 characters at most; one that is cut ends in a hash of the whole. */
export function toolName(verb: string, what: string): string {
  const name = `${verb}_${what.replaceAll(".", "_")}`
  if (name.length <= NAME_CHARS_MAX) return name
  const hash = derivedId(what).slice(0, 8)
  return `${name.slice(0, NAME_CHARS_MAX - hash.length - 1)}_${hash}`
}
