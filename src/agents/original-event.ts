import { decode } from "../bus/decode.js"
import type { MurmurEvent } from "../bus/event.js"
import type { MeshNames } from "../bus/subjects.js"
import { readInboxEvent } from "./inbox-event.js"
import type { EventPort } from "./ports.js"

/**
 * An event as it was stored, for the dead letters: what an agent works on is what its schema made of the data, without
 * the fields that the schema does not know. When the event cannot be read any more, it is the one that the agent has.
 */
export async function originalOf(
  event: MurmurEvent,
  { names, events }: { readonly names: MeshNames; readonly events: Pick<EventPort, "read"> },
): Promise<MurmurEvent> {
  const message = await events.read(event.seq).catch(() => undefined)
  const decoded = message === undefined ? undefined : decode(names, message)
  if (decoded?.ok !== true) return event
  if (decoded.event.id === event.id) return decoded.event
  const brought = readInboxEvent(decoded.event)
  return brought?.id === event.id ? brought : event
}
