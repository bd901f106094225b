import type { AgentDefinition } from "../define-agent.js"
import { ABOUT_DATA } from "./delimited.js"

/** What of an agent its model is told besides the instructions. */
export interface Told {
  readonly name: string
  readonly emits: AgentDefinition["emits"]
  readonly asks: boolean
  readonly delegates: readonly unknown[]
}

/** The text of the system message: the instructions, and then how things are here. The same for each event. */
export function systemText(instructions: string, agent: Told, isTask: boolean): string {
  return `${instructions.trim()}\n\n# How you work\n\n${rules(agent, isTask)
    .map((rule) => `- ${rule}`)
    .join("\n")}`
}

function rules({ name, emits, asks, delegates }: Told, isTask: boolean): string[] {
  const types = emits.map(({ type }) => type).join(", ")
  return [
    `You are the agent "${name}". You react to one ${isTask ? "task" : "event"} at a time, the last one that you are shown. Nobody reads along: what has an effect is what you do by tools.`,
    ...(emits.length > 0
      ? [
          `You may emit these events, each by the tool of its name: ${types}. Emit one only when your instructions call for it. What you have emitted cannot be taken back.`,
        ]
      : []),
    ...(asks ? ["Where your instructions do not say what to do and a mistake would matter, ask a person."] : []),
    ...(delegates.length > 0 ? ["What another agent is there for, delegate to it, and go on with its result."] : []),
    isTask
      ? "Your last answer, the one without tool calls, is the reply to the task."
      : "When all is done, or nothing is to be done, say in one sentence what you did and why.",
    "When a tool says that something is wrong, mend it or say that it cannot be done; do not repeat the same call.",
    ABOUT_DATA,
  ]
}
