import type { Observable } from "rxjs"
import type { EventDraft, MurmurEvent } from "../bus/event.js"
import type { ReactContext } from "./context.js"

/** A function from the events of one key to the events that follow from them. */
export type Reaction<E extends MurmurEvent = MurmurEvent> = (
  events: Observable<E>,
  ctx: ReactContext,
) => Observable<EventDraft>
