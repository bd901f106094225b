import type { MurmurEvent } from "../../../bus/event.js"
import type { Message } from "../../../gateways/messages/message.js"
import type { StepContext } from "../../context.js"
import type { AnyTool } from "../../tools/tool.js"
import { rememberedEvent } from "../event-message.js"
import { SAID } from "./compose.js"
import type { Said } from "./conversation.js"
import { sizeDown, sizeOf } from "./fit.js"

/** A step that is over but for being remembered. */
export interface Remembered {
  readonly event: MurmurEvent
  /** What was said and done about it. */
  readonly said: readonly Message[]
  /** What its model could call. */
  readonly tools: readonly AnyTool[]
  readonly tokensMax: number
}

/** Makes a step a turn of its session's conversation: the event, and what was said and done about it, sized down. */
export function remember({ event, said, tools, tokensMax }: Remembered, ctx: StepContext): void {
  const shown = rememberedEvent(event, Math.floor(tokensMax / 2))
  const answers = sizeDown(said, Math.max(0, tokensMax - sizeOf([shown])))
  const { id, type } = event
  const trust = event.trust === "external" || hasReadOutsiders(said, tools) ? "external" : "internal"
  const turn: Said = { id, type, at: ctx.now().toISOString(), trust, messages: [shown, ...answers] }
  record(ctx, SAID, turn)
}

function hasReadOutsiders(said: readonly Message[], tools: readonly AnyTool[]): boolean {
  const untrusted = new Set(tools.filter((tool) => tool.untrusted).map(({ name }) => name))
  return said.some((message) => message.role === "tool" && untrusted.has(message.name))
}

/** Entries of ours are none that the agent's own types know. */
export function record(ctx: StepContext, name: string, data: unknown): void {
  ctx.record(name as never, data as never)
}
