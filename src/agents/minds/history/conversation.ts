import type { Trust } from "../../../bus/event.js"
import type { Message } from "../../../gateways/messages/message.js"

/** What was said in one step: the event, answers, tool calls and their results. Sized down when it was recorded. */
export interface Turn {
  /** Id of the event. */
  readonly id: string
  /** Type of the event. */
  readonly type: string
  /** When the event was stored, RFC 3339. */
  readonly at: string
  readonly messages: readonly Message[]
  /** Of the messages as JSON. */
  readonly bytes: number
}

/** The conversation of a session: the newest turns as they were, and notes on those before them. */
export interface Conversation {
  readonly turns: readonly Turn[]
  /** What a model has noted of the turns that are not here any more. */
  readonly summary?: string
  /** How many turns are not here any more. */
  readonly forgotten: number
  /** How often turns were taken out. Notes that were made of an older edition do not count. */
  readonly edition: number
  /** Whether outsiders have had a say in it, also in what is noted or forgotten by now: then it stays so. */
  readonly outside?: true
}

/** Data of an entry `murmur.said`. */
export interface Said {
  readonly id: string
  readonly type: string
  readonly at: string
  /** `external` when the event came from outside, or a tool has returned what outsiders wrote. */
  readonly trust: Trust
  readonly messages: readonly Message[]
}

/** Data of an entry `murmur.summarised`. */
export interface Summarised {
  /** Of the conversation that was summarised. */
  readonly edition: number
  /** Ids of the turns that are taken out. */
  readonly turns: readonly string[]
  /** Without it the summary stays as it was: the turns are forgotten. */
  readonly summary?: string
}

export const NO_CONVERSATION: Conversation = { turns: [], forgotten: 0, edition: 0 }

/**
 * What a session keeps at most, whatever its agent says: snapshots and commits have to fit a message. Turns are taken out
 * with notes long before.
 */
export const TURNS_MAX = 400
export const BYTES_MAX = 393_216

/** How full something may be after turns were taken out: not full, or the next turn would begin it again. */
export const LOW_WATER = 0.5

export function foldSaid(conversation: Conversation, { id, type, at, trust, messages }: Said): Conversation {
  const last = conversation.turns.at(-1)
  const before = last?.id === id ? last.messages : []
  const all = [...before, ...messages]
  const turn: Turn = { id, type, at, messages: all, bytes: Buffer.byteLength(JSON.stringify(all)) }
  const earlier = before.length > 0 ? conversation.turns.slice(0, -1) : conversation.turns
  const outside = trust === "external" && { outside: true as const }
  return bounded({ ...conversation, ...outside, turns: [...earlier, turn] })
}

/** Steps that slept may record late: notes that were made of an older edition change nothing, and nothing is lost. */
export function foldSummarised(conversation: Conversation, { edition, turns, summary }: Summarised): Conversation {
  if (edition !== conversation.edition) return conversation
  const out = new Set(turns)
  return without(conversation, ({ id }) => out.has(id), summary)
}

export function bytesOf(turns: readonly Turn[]): number {
  return turns.reduce((sum, { bytes }) => sum + bytes, 0)
}

function without(conversation: Conversation, isOut: (turn: Turn) => boolean, summary?: string): Conversation {
  const turns = conversation.turns.filter((turn) => !isOut(turn))
  return {
    ...conversation,
    turns,
    ...(summary !== undefined && { summary }),
    forgotten: conversation.forgotten + conversation.turns.length - turns.length,
    edition: conversation.edition + 1,
  }
}

function bounded(conversation: Conversation): Conversation {
  const { turns } = conversation
  let bytes = bytesOf(turns)
  if (turns.length <= TURNS_MAX && bytes <= BYTES_MAX) return conversation
  const out = new Set<Turn>()
  for (const turn of turns) {
    if (turns.length - out.size <= TURNS_MAX * LOW_WATER && bytes <= BYTES_MAX * LOW_WATER) break
    out.add(turn)
    bytes -= turn.bytes
  }
  return without(conversation, (turn) => out.has(turn))
}
