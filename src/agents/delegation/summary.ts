import type { TextAnswer } from "../../gateways/llm/llm.js"
import { system, user } from "../../gateways/messages/constructors.js"
import type { Message } from "../../gateways/messages/message.js"
import { ABOUT_DATA, delimited } from "../minds/delimited.js"
import { conversationOf } from "../minds/history/compose.js"
import { sizeDown } from "../minds/history/fit.js"

/** Where the agent that sums up stands: its session, and its models. */
export interface Summarising {
  /** The session's state, with the conversation that the runtime keeps in it. */
  readonly whole: unknown
  readonly llm: { text(prompt: readonly Message[]): Promise<Pick<TextAnswer, "text">> }
}

/** What is summed up is cut to this: a summary is for the gist. */
const TOKENS_MAX = 24_000

const ORDER =
  "Sum up what follows for a colleague who takes over a part of this work and has seen none of it: what is wanted, what is " +
  "known, what was decided and why, what is open. Facts, names and numbers exactly as they stand. At most 300 words, no preamble."

/**
 * A summary by the agent's model: of these messages, or of the session's conversation so far.
 *
 * @returns a text; empty when there is nothing to sum up
 */
export async function summarise({ whole, llm }: Summarising, messages?: readonly Message[]): Promise<string> {
  const said = messages ?? conversationSoFar(whole)
  if (said.length === 0) return ""
  const shown = sizeDown(said, TOKENS_MAX)
  const { text } = await llm.text([
    system(`${ORDER}\n\n${ABOUT_DATA}`),
    user(delimited(shown, { kind: "conversation" })),
  ])
  return text
}

function conversationSoFar(whole: unknown): readonly Message[] {
  const { summary, turns } = conversationOf(whole)
  const before = summary === undefined ? [] : [user(summary)]
  return [...before, ...turns.flatMap(({ messages }) => messages)]
}
