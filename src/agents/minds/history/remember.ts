import type { MurmurEvent } from "../../../bus/event.js"
import type { Message } from "../../../gateways/messages/message.js"
import type { StepContext } from "../../context.js"
import { rememberedEvent } from "../event-message.js"
import { SAID } from "./compose.js"
import type { Said } from "./conversation.js"
import { sizeDown, sizeOf } from "./fit.js"

/** Makes a step a turn of its session's conversation: the event, and what was said and done about it, sized down. */
export function remember(said: readonly Message[], tokensMax: number, event: MurmurEvent, ctx: StepContext): void {
  const shown = rememberedEvent(event, Math.floor(tokensMax / 2))
  const answers = sizeDown(said, Math.max(0, tokensMax - sizeOf([shown])))
  const turn: Said = { id: event.id, type: event.type, at: ctx.now().toISOString(), messages: [shown, ...answers] }
  record(ctx, SAID, turn)
}

/** Entries of ours are none that the agent's own types know. */
export function record(ctx: StepContext, name: string, data: unknown): void {
  ctx.record(name as never, data as never)
}
