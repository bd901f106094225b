import type { Message } from "../../../gateways/messages/message.js"
import { delimited } from "../delimited.js"
import { BYTES_MAX, bytesOf, type Conversation, LOW_WATER, type Turn } from "./conversation.js"
import { cutText, sizeOf } from "./fit.js"

/** How much of a conversation may go into a call, in tokens, and how many turns are kept. */
export interface HistoryBudget {
  readonly turns: number
  readonly summary: number
  readonly keepTurns: number
}

/** What goes into a call. */
export interface ChosenHistory {
  /** Notes, turns and the event, in this order. */
  readonly messages: readonly Message[]
  /** The turns among them, as messages. */
  readonly recent: readonly Message[]
  /** Turns that are too many, oldest first: none of them is in `messages`. */
  readonly evict: readonly Turn[]
}

/** A turn as it may go into a call. */
interface Candidate {
  readonly turn: Turn
  readonly whole: number
  /** With its tool results cut. */
  readonly short: readonly Message[]
  readonly shortSize: number
}

/**
 * Chooses what of a conversation goes into a call with an event. When it is too much, tool results are cut first, oldest
 * first; when that is not enough, or there are too many turns, the oldest turns are left out, until there is room for some
 * to come. The event is never cut, nor left out; order is kept; a tool result is never without its call.
 */
export function chooseHistory(
  conversation: Conversation,
  event: Message | undefined,
  budget: HistoryBudget,
): ChosenHistory {
  const candidates = conversation.turns.map(candidate)
  const out = evictions(candidates, budget)
  const recent = fitted(candidates.slice(out), budget.turns)
  const notes = notesMessage(conversation.summary, budget.summary)
  return {
    messages: [...notes, ...recent, ...(event === undefined ? [] : [event])],
    recent,
    evict: conversation.turns.slice(0, out),
  }
}

/** Notes as a model is shown them: data like any other, since what a model notes may come from outside. */
export function notesMessage(summary: string | undefined, tokensMax: number): Message[] {
  if (summary === undefined || summary === "") return []
  for (let tokens = tokensMax; tokens > 0; tokens = Math.floor(tokens * 0.8)) {
    const notes = cutText(summary, tokens)
    const content = delimited(notes, { kind: "notes on earlier events, written by a model" })
    if (notes !== "" && sizeOf([{ role: "user", content }]) <= tokensMax) return [{ role: "user", content }]
  }
  return []
}

function candidate(turn: Turn): Candidate {
  const short = turn.messages.map(withoutResult)
  return { turn, whole: sizeOf(turn.messages), short, shortSize: sizeOf(short) }
}

function withoutResult(message: Message): Message {
  if (message.role !== "tool" || message.content.length < 80) return message
  return { ...message, content: `[${message.content.length} characters cut]` }
}

/** How many of the oldest turns are taken out. */
function evictions(candidates: readonly Candidate[], { turns: tokens, keepTurns }: HistoryBudget): number {
  const fits = (from: number, part: number): boolean => {
    const kept = candidates.slice(from)
    const size = kept.reduce((sum, { shortSize }) => sum + shortSize, 0)
    const bytes = bytesOf(kept.map(({ turn }) => turn))
    return kept.length <= turnsKept(keepTurns, part) && size <= tokens * part && bytes <= BYTES_MAX * 0.9 * part
  }
  if (fits(0, 1)) return 0
  for (let out = 1; out < candidates.length; out++) {
    const newest = out === candidates.length - 1
    if (fits(out, newest ? 1 : LOW_WATER)) return out
  }
  return candidates.length
}

function turnsKept(keepTurns: number, part: number): number {
  return keepTurns === 0 ? 0 : Math.max(1, keepTurns * part)
}

/** The messages of turns of which all fit when they are cut: as few are as need be. */
function fitted(candidates: readonly Candidate[], tokens: number): Message[] {
  let size = candidates.reduce((sum, { whole }) => sum + whole, 0)
  return candidates.flatMap(({ turn, whole, short, shortSize }) => {
    if (size <= tokens) return turn.messages
    size += shortSize - whole
    return short
  })
}
