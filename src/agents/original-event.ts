import { decode } from "../bus/decode.js"
import type { MurmurEvent } from "../bus/event.js"
import { readMessage } from "../bus/reader.js"
import type { HostPorts } from "./host.js"
import { readInboxEvent } from "./inbox-event.js"

/**
 * An event as it was stored, for the dead letters: what an agent works on is what its schema made of the data, without
 * the fields that the schema does not know. When the event cannot be read any more, it is the one that the agent has.
 */
export async function originalOf(event: MurmurEvent, { bus }: Pick<HostPorts, "bus">): Promise<MurmurEvent> {
  const message = await readMessage(bus.link, bus.names.events, event.seq).catch(() => undefined)
  const decoded = message === undefined ? undefined : decode(bus.names, message)
  if (decoded?.ok !== true) return event
  if (decoded.event.id === event.id) return decoded.event
  const brought = readInboxEvent(decoded.event)
  return brought?.id === event.id ? brought : event
}
