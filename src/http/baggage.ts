import { BAGGAGE, boundBaggage } from "../bus/baggage.js"
import type { EventDraft } from "../bus/event.js"

/** The W3C baggage that a caller sends along, as much of it as is handed on. */
export function callersBaggage(headers: Headers): string | undefined {
  const text = headers.get(BAGGAGE)
  return text === null ? undefined : boundBaggage(text)
}

/** An event with the baggage that it brings itself, bounded, or else with its caller's. */
export function withBaggage(draft: EventDraft, callers: string | undefined): EventDraft {
  const { [BAGGAGE]: own, ...others } = draft.extensions ?? {}
  if (own === undefined && callers === undefined) return draft
  const baggage = typeof own === "string" ? boundBaggage(own) : callers
  return { ...draft, extensions: { ...others, ...(baggage !== undefined && { [BAGGAGE]: baggage }) } }
}
