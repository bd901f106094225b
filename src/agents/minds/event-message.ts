import type { MurmurEvent } from "../../bus/event.js"
import type { UserMessage } from "../../gateways/messages/message.js"
import { isTaskType } from "../../router/reserved.js"

import { delimited, type Provenance } from "./delimited.js"
import { cutValue, sizeOf } from "./history/fit.js"

/** What texts in the data are cut to, step by step, in tokens, until it fits. */
const CUTS = [2_000, 500, 150, 40, 10]

/** An event as a model is shown it: data with where it comes from, and never as instructions. */
export function eventMessage(event: MurmurEvent): UserMessage {
  return shown(event, event.data)
}

/** As {@link eventMessage}, for the turns to come: texts in the data are cut so that it takes at most so many tokens. */
export function rememberedEvent(event: MurmurEvent, tokensMax: number): UserMessage {
  let message = eventMessage(event)
  for (const cut of CUTS) {
    if (sizeOf([message]) <= tokensMax) return message
    message = shown(event, cutValue(event.data, cut))
  }
  return sizeOf([message]) <= tokensMax ? message : shown(event, "too long to be remembered")
}

function shown(event: MurmurEvent, data: unknown): UserMessage {
  const { id, type, key, time, producer, trust } = event
  const kind = isTaskType(type) ? "task" : "event"
  const about: Provenance = { kind, type, key, id, time, producer, trust }
  return { role: "user", content: delimited(isTaskType(type) ? taskShown(data) : data, about) }
}

/** Of a task a model sees what it is about, not who waits for it. */
function taskShown(data: unknown): unknown {
  const { input, context } = data as { readonly input?: unknown; readonly context?: unknown }
  return context === undefined ? { input } : { input, context }
}
