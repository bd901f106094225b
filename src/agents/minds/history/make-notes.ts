import { ensureError, errorCode } from "../../../errors.js"
import type { Instructed } from "../instructed.js"
import type { MindfulContext } from "../mindful-context.js"
import type { Prompt } from "../prompt.js"
import { conversationOf, SUMMARISED } from "./compose.js"
import type { Summarised } from "./conversation.js"
import type { Eviction } from "./eviction.js"
import { cutText } from "./fit.js"
import { notesPrompt } from "./notes.js"
import { record } from "./remember.js"

/**
 * Takes the oldest turns out of a session when they have become too many, with notes on them if its agent wants some. When
 * no model makes any they stay, and the next step tries again: what goes into a call is bounded all the same.
 */
export async function makeNotes(agent: Instructed, prompt: Prompt, ctx: MindfulContext): Promise<void> {
  const { evict } = prompt
  if (evict === undefined) return
  const { edition, turns } = evict
  if (conversationOf(ctx.whole).edition !== edition) return // the step has waited, and others have made notes meanwhile
  if (agent.history?.summarise === undefined) {
    const forgotten: Summarised = { edition, turns }
    record(ctx, SUMMARISED, forgotten)
    return
  }
  ctx.onMemoryUpdate("started")
  const summary = await notesOn(agent, prompt, evict, ctx)
  if (summary === undefined) return
  const noted: Summarised = { edition, turns, summary }
  record(ctx, SUMMARISED, noted)
  ctx.onMemoryUpdate("completed")
}

/** @returns `undefined` when a model makes none */
async function notesOn(
  agent: Instructed,
  { summary, notesTokens: tokens, contextTokens }: Prompt,
  { transcript }: Eviction,
  ctx: MindfulContext,
): Promise<string | undefined> {
  const model = agent.history?.summarise?.model
  const asked = notesPrompt({ agent: agent.name, summary, transcript, tokens })
  try {
    const { text } = await ctx.llm.text(asked, { contextTokens, ...(model !== undefined && { model }) })
    const notes = cutText(text.trim(), tokens)
    if (notes !== "") return notes
    ctx.log.warn({ agent: agent.name, key: ctx.key }, "the model made no notes on earlier events; trying again later")
  } catch (thrown) {
    // the step's own work is done, and nothing that comes after depends on this
    if (!errorCode(thrown).startsWith("LLM_")) throw thrown
    const error = ensureError(thrown)
    ctx.log.warn({ agent: agent.name, key: ctx.key, error }, "cannot make notes on earlier events; trying again later")
  }
  return undefined
}
