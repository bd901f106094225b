import { BAGGAGE } from "../../bus/baggage.js"
import type { MurmurEvent } from "../../bus/event.js"
import type { Message } from "../../gateways/messages/message.js"
import { estimateTokens } from "../../gateways/tokens/estimate-tokens.js"
import { isTaskType } from "../../router/reserved.js"
import { eventMessage } from "./event-message.js"
import { chooseHistory } from "./history/choose.js"
import { conversationOf, ownState } from "./history/compose.js"
import { type Eviction, planEviction } from "./history/eviction.js"
import { sizeOf } from "./history/fit.js"
import { DEFAULT_SHARES } from "./history/options.js"
import { planRoom } from "./history/room.js"
import type { Instructed } from "./instructed.js"
import type { MindfulContext } from "./mindful-context.js"
import { systemText } from "./system-text.js"
import { renderNow } from "./template.js"

/** Shorter notes say nothing. */
const NOTES_TOKENS_MIN = 60

/** So many turns fit at least, however much is said in one. */
const TURNS_MIN = 6

/** The variables of instructions. */
export const VARIABLES: readonly string[] = ["agent", "key", "event", "state", "memory"]

/**
 * What a step asks its model with, but for the event. It is written to the journal when the step first comes here: so the
 * step asks the same when it runs again, although its state, its instructions and its history may be others by then.
 */
export interface Prompt {
  readonly system: string
  /** Notes on turns that were taken out before. */
  readonly summary?: string
  /** Turns of before, as messages. */
  readonly recent: readonly Message[]
  /** How many tokens notes may take in this call, and when they are made anew. */
  readonly summaryTokens: number
  readonly notesTokens: number
  /** How large a context the model is to be loaded with. A server that chooses by itself may cut off what is more. */
  readonly contextTokens: number
  /** How many tokens this turn may take when it is remembered. */
  readonly turnTokens: number
  /** Turns that are to be taken out when this one is over, so that there is room for it. */
  readonly evict?: Eviction
}

/** A step that asks its model. */
export interface PromptParts {
  readonly agent: Instructed
  readonly event: MurmurEvent
  readonly ctx: MindfulContext
  /** What the model is told of what it may call. */
  readonly toolTokens: number
}

/** @throws TerminalError `TEMPLATE`, `LLM_CONTEXT` */
export function preparePrompt({ agent, event, ctx, toolTokens }: PromptParts): Prompt {
  const { history } = agent
  const { instructions, windowTokens, answerTokens, contextTokens } = ctx.mind
  const system = systemText(
    renderNow(
      instructions ?? agent.instructions,
      variablesOf(agent, event, ctx),
      `the instructions of agent "${agent.name}"`,
    ),
    agent,
    isTaskType(event.type),
  )
  const shown = eventMessage(event)
  const room = planRoom(`"${agent.name}"`, history, windowTokens, {
    instructions: estimateTokens([{ role: "system", content: system }]),
    event: sizeOf([shown]),
    tools: toolTokens,
    answer: answerTokens,
  })
  const shares = history?.shares ?? DEFAULT_SHARES
  const share = Math.floor(shares.turns * room.total)
  const turnTokens = Math.floor(share / TURNS_MIN)
  const base = {
    system,
    recent: [],
    summaryTokens: room.summary,
    notesTokens: Math.max(NOTES_TOKENS_MIN, Math.floor(shares.summary * room.total)),
    turnTokens,
    contextTokens: contextTokens ?? room.context,
  }
  if (history === undefined) return base
  const conversation = conversationOf(ctx.whole)
  const evict = planEviction(conversation, history, { total: room.total, share, turnTokens })
  return {
    ...base,
    recent: chooseHistory(conversation, undefined, room).recent,
    ...(conversation.summary !== undefined && { summary: conversation.summary }),
    ...(evict !== undefined && { evict }),
  }
}

function variablesOf(agent: Instructed, event: MurmurEvent, ctx: MindfulContext): Record<string, unknown> {
  const { id, type, key, time, producer, trust, data } = event
  const { [BAGGAGE]: _, ...extensions } = event.extensions // what is told along is not for providers of models
  const { summary, turns, forgotten } = conversationOf(ctx.whole)
  return {
    agent: agent.name,
    key: key ?? "",
    event: { ...extensions, id, type, key: key ?? "", time, producer, trust, data },
    state: (agent.history === undefined ? ctx.whole : ownState(ctx.whole)) ?? {},
    memory: { summary: summary ?? "", turns: turns.length, events: turns.length + forgotten },
  }
}
