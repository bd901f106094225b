import { z } from "zod"
import { ensureError, TerminalError } from "../../errors.js"
import type { JsonSchema } from "../completion.js"
import { user } from "../messages/constructors.js"
import { converse, type Talk } from "./converse.js"
import type { Conversation } from "./port.js"

const SHOWN_MAX = 500
const ISSUES_MAX = 10

/** What an answer has to be, as models and we see it. Models answer with objects: anything else is put into one. */
export interface WantedObject<T> {
  readonly schema: JsonSchema
  /** @throws z.ZodError, SyntaxError */
  parse(text: string): T
}

/** @throws TerminalError `LLM_OPTION` when it is no zod schema */
export function wanted<T>(schema: z.ZodType<T>, who: string): WantedObject<T> {
  if (typeof schema?.safeParse !== "function") {
    throw new TerminalError(`${who} cannot ask for an object: the first argument must be a zod schema`, {
      code: "LLM_OPTION",
    })
  }
  const json = jsonSchemaOf(schema)
  if (json.type === "object") return { schema: json, parse: (text) => schema.parse(jsonIn(text)) }
  const wrapped = z.object({ value: schema })
  return { schema: jsonSchemaOf(wrapped), parse: (text) => wrapped.parse(jsonIn(text)).value }
}

/** A zod schema as a model is told it. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" })
  return json
}

/** The JSON in an answer: also of models that put it into a code block. */
function jsonIn(text: string): unknown {
  const trimmed = text.trim()
  const block = /^```(?:json)?\s*\n?([\s\S]*?)\n?```$/.exec(trimmed)
  return JSON.parse(block?.[1] ?? trimmed)
}

/**
 * Asks until the answer fits; what does not is told to the model.
 *
 * @param repairs how often it is told
 * @throws TerminalError `LLM_OBJECT` when it still does not fit; what asking throws
 */
export async function converseObject<T, Tool>(
  talk: Talk<Tool>,
  conversation: Conversation,
  want: WantedObject<T>,
  repairs: number,
): Promise<T> {
  for (let repair = 0; ; repair++) {
    const { message, finishReason } = await converse(talk, conversation)
    let problem: string
    try {
      return want.parse(message.content)
    } catch (thrown) {
      if (!isAboutAnswer(thrown)) throw notUsable(talk.port.who, thrown)
      problem = finishReason === "length" ? "It was cut off: there were not enough tokens (maxTokens)." : saying(thrown)
    }
    if (repair >= repairs || talk.bill.turns >= talk.given.turnsMax)
      throw doesNotFit(talk.port.who, message.content, problem, repair + 1)
    const told = user(
      `That answer cannot be used. ${problem}\nAnswer again, with nothing but JSON that fits this schema:\n${JSON.stringify(want.schema)}`,
    )
    conversation.messages.push(told)
    conversation.added.push(told)
  }
}

/** Whether an answer is wrong, and not the schema that it is held to. */
function isAboutAnswer(thrown: unknown): boolean {
  return thrown instanceof z.ZodError || thrown instanceof SyntaxError
}

function notUsable(who: string, cause: unknown): TerminalError {
  const why = ensureError(cause).message
  const message = `${who} cannot ask for an object: its schema throws (${why}). Transforms and refinements must be synchronous and may not throw`
  return new TerminalError(message, { code: "LLM_OPTION", cause })
}

function saying(thrown: unknown): string {
  if (!(thrown instanceof z.ZodError)) return "It is no JSON."
  const issues = thrown.issues.slice(0, ISSUES_MAX)
  return `It does not fit:\n${issues.map(({ path, message }) => `- ${path.join(".") || "the whole"}: ${message}`).join("\n")}`
}

function doesNotFit(who: string, answer: string, problem: string, tries: number): TerminalError {
  return new TerminalError(`${who} asked a model for an object and got none that fits, ${tries} times. ${problem}`, {
    code: "LLM_OBJECT",
    details: { tries, answer: answer.slice(0, SHOWN_MAX) },
  })
}
