import type { MurmurEvent } from "../../bus/event.js"
import type { UserMessage } from "../../gateways/messages/message.js"
import { isTaskType } from "../../router/reserved.js"

import { delimited, type Provenance } from "./delimited.js"
import { cutValue, sizeOf } from "./history/fit.js"

/** What texts in the data are cut to, step by step, in tokens, until it fits. */
const CUTS = [2_000, 500, 150, 40, 10]

/** An event as a model is shown it: data with where it comes from, and never as instructions. */
export function eventMessage(event: MurmurEvent): UserMessage {
  const { id, type, key, time, producer, trust, data } = event
  return shown(event, { kind: kindOf(type), type, key, id, time, producer, trust }, data)
}

/** As {@link eventMessage}, for the turns to come: in short, and with texts cut so that it takes at most so many tokens. */
export function rememberedEvent(event: MurmurEvent, tokensMax: number): UserMessage {
  const { type, key, time, trust, data } = event
  const about = { kind: `earlier ${kindOf(type)}`, type, key, time, trust }
  let message = shown(event, about, data)
  for (const cut of CUTS) {
    if (sizeOf([message]) <= tokensMax) return message
    message = shown(event, about, cutValue(data, cut))
  }
  return sizeOf([message]) <= tokensMax ? message : shown(event, about, "too long to be remembered")
}

function kindOf(type: string): "task" | "event" {
  return isTaskType(type) ? "task" : "event"
}

function shown({ type }: MurmurEvent, about: Provenance, data: unknown): UserMessage {
  return { role: "user", content: delimited(isTaskType(type) ? taskShown(data) : data, about) }
}

/** Of a task a model sees what it is about, not who waits for it. */
function taskShown(data: unknown): unknown {
  if (typeof data !== "object" || data === null) return data
  const { input, context } = data as { readonly input?: unknown; readonly context?: unknown }
  return context === undefined ? { input } : { input, context }
}
