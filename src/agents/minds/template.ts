import { MurmurError, TerminalError } from "../../errors.js"
import { OUTPUT_CHARS_MAX, TEMPLATE_CHARS_MAX, templateEngine } from "./template-engine.js"

/** How a template is checked. */
export interface CheckTemplateOptions {
  /** What it is, for the message: `the instructions of agent "triage"`. */
  readonly what?: string
  /** Names of the variables that it may use. Default: any. */
  readonly variables?: readonly string[]
}

/**
 * Checks a template (LiquidJS: `{{ event.data.title }}`, `{% if %}`, `{% for %}`) when it is given, long before it is used.
 *
 * @throws MurmurError `TEMPLATE` with line and column: of what cannot be read, an unknown filter, an unknown variable
 */
export function checkTemplate(text: string, { what = "a template", variables }: CheckTemplateOptions = {}): void {
  const fail = (why: string, cause?: unknown): never => {
    throw new MurmurError(`Cannot read ${what}: ${why}`, { code: "TEMPLATE", cause, details: placeOf(cause) })
  }
  if (typeof text !== "string") fail(`it must be a text, is ${text === null ? "null" : typeof text}`)
  if (text.length > TEMPLATE_CHARS_MAX) {
    fail(`it must have at most ${TEMPLATE_CHARS_MAX} characters, has ${text.length}`)
  }
  if (isPlain(text)) return
  try {
    const { liquid, parse } = templateEngine()
    const used = liquid.analyzeSync(parse(text), { partials: false }).globals
    const unknown = Object.values(used)
      .flat()
      .find(({ segments: [root] }) => variables !== undefined && !variables.includes(String(root)))
    if (unknown === undefined) return
    const { row, col } = unknown.location
    fail(`unknown variable "${unknown.segments[0]}" (known: ${variables?.join(", ")}), line ${row}, column ${col}`)
  } catch (error) {
    if (error instanceof MurmurError) throw error
    fail(messageOf(error), error)
  }
}

/**
 * Renders a template. What it may use is given by `variables` and nothing else: no files, no clock, no chance. A variable
 * that is not there is an error, except in a condition (`{% if event.data.title %}`) and before the filter `default`. Takes
 * at most half a second.
 *
 * @throws TerminalError `TEMPLATE` with line and column
 * @example
 * await renderTemplate("Look at {{ event.key }}.", { event }) // "Look at acme/web."
 */
export async function renderTemplate(text: string, variables: Readonly<Record<string, unknown>>): Promise<string> {
  return renderNow(text, variables)
}

/** As {@link renderTemplate}, at once. */
export function renderNow(text: string, variables: Readonly<Record<string, unknown>>, what = "a template"): string {
  if (isPlain(text) && text.length <= OUTPUT_CHARS_MAX) return text
  try {
    const { parse, render } = templateEngine()
    return render(parse(text), variables)
  } catch (error) {
    throw new TerminalError(`Cannot render ${what}: ${messageOf(error)}`, {
      code: "TEMPLATE",
      cause: error,
      details: placeOf(error),
    })
  }
}

/** Without tags and outputs there is nothing to render, and nothing to load for it. */
function isPlain(text: string): boolean {
  return !text.includes("{{") && !text.includes("{%")
}

/** LiquidJS ends its messages with `, line:3, col:7`. */
const PLACE = /, line:(\d+), col:(\d+)$/

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return message.replace(PLACE, ", line $1, column $2")
}

function placeOf(error: unknown): { line: number; column: number } | Record<string, never> {
  const place = error instanceof Error ? PLACE.exec(error.message) : null
  return place === null ? {} : { line: Number(place[1]), column: Number(place[2]) }
}
