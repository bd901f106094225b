import { TerminalError } from "../../../errors.js"
import type { HistoryBudget } from "./choose.js"
import { type CheckedHistory, DEFAULT_SHARES } from "./options.js"

/** A call costs what it holds: more than this has to be asked for. */
const TOKENS_DEFAULT_MAX = 32_768

/** What a call holds besides its history, in tokens. */
export interface Sizes {
  readonly instructions: number
  readonly event: number
  /** What the model is told of its tools. */
  readonly tools: number
  /** What the answer may have, when that is said; else its share. */
  readonly answer: number | undefined
}

/** The room of a call, in tokens. */
export interface Room extends HistoryBudget {
  /** Of the whole call, as its shares are taken from it. */
  readonly total: number
  /** What the model has to be loaded with, where its server can choose. Much the same for all calls of an agent. */
  readonly context: number
}

/**
 * How much room there is for history. Instructions, event and tools take what they need: what goes beyond their shares is
 * taken from the turns, then from the summary. What they leave is left: so calls of a session cost much the same.
 *
 * @param window of the model, in tokens
 * @throws TerminalError `LLM_CONTEXT` with all sizes when they do not even fit without history
 */
export function planRoom(who: string, history: CheckedHistory | undefined, window: number, sizes: Sizes): Room {
  const shares = history?.shares ?? DEFAULT_SHARES
  const total = Math.min(window, history?.tokens ?? TOKENS_DEFAULT_MAX)
  const share = (part: keyof typeof shares): number => Math.floor(shares[part] * total)
  const answer = sizes.answer ?? share("answer")
  const needed = sizes.instructions + sizes.event + sizes.tools + answer
  if (needed > window) throw tooLarge(who, window, { ...sizes, answer })
  const beyond =
    Math.max(0, sizes.instructions + sizes.event - share("instructions") - share("event")) +
    Math.max(0, sizes.tools - share("tools")) +
    Math.max(0, answer - share("answer"))
  const turns = Math.max(0, share("turns") - beyond)
  const summary = Math.max(0, share("summary") - Math.max(0, beyond - share("turns")))
  return { total, context: Math.max(total, needed), turns, summary, keepTurns: history?.keepTurns ?? 1 }
}

function tooLarge(who: string, window: number, sizes: Sizes): TerminalError {
  const { instructions, event, tools, answer } = sizes
  return new TerminalError(
    `${who} cannot ask its model: instructions (${instructions} tokens), event (${event}), tools (${tools}) and room for the answer (${answer}) do not fit into its window of ${window} tokens. Choose a model with a larger window, or put large data into an artifact`,
    { code: "LLM_CONTEXT", details: { window, ...sizes } },
  )
}
