import { chooseHistory, type HistoryBudget } from "./choose.js"
import type { Conversation } from "./conversation.js"
import type { CheckedHistory } from "./options.js"
import { transcriptOf } from "./transcript.js"

/** Turns that are taken out of a conversation. */
export interface Eviction {
  /** Of the conversation from which they are taken. */
  readonly edition: number
  /** Their ids. */
  readonly turns: readonly string[]
  /** What was said in them; empty when nobody makes notes. */
  readonly transcript: string
}

/** Tokens that a conversation may take. */
export interface EvictionRoom {
  /** Of a whole call. */
  readonly total: number
  /** Of all turns. */
  readonly share: number
  /** Of the turn that is about to come. */
  readonly turnTokens: number
}

/** What has to go so that one turn more fits; `undefined` when it fits. */
export function planEviction(
  conversation: Conversation,
  { keepTurns, summarise }: Pick<CheckedHistory, "keepTurns" | "summarise">,
  { total, share, turnTokens }: EvictionRoom,
): Eviction | undefined {
  const room: HistoryBudget = { turns: share - turnTokens, summary: 0, keepTurns: keepTurns - 1 }
  const { evict } = chooseHistory(conversation, undefined, room)
  if (evict.length === 0) return undefined
  return {
    edition: conversation.edition,
    turns: evict.map(({ id }) => id),
    transcript: summarise === undefined ? "" : transcriptOf(evict, Math.floor(total / 2)),
  }
}
