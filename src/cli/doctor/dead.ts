import type { BusCore } from "../../bus/bus-core.js"
import { firstSince } from "../../bus/stream-admin.js"
import { streamInfo } from "../../bus/streams.js"
import { counted } from "../text.js"
import { bad, type Check, fine } from "./check.js"

const RECENT_MS = 3_600_000
/** So many within the hour are no single accident. */
const RECENT_MAX = 10

/** Dead letters, and whether they pile up. */
export async function checkDead({ link, names }: BusCore): Promise<Check> {
  const { messages, last_seq: last } = (await streamInfo(link.manager, names.dead))?.state ?? {
    messages: 0,
    last_seq: 0,
  }
  if (messages === 0) return fine("dead letters", "none")
  const first = await firstSince(link, names.dead, new Date(Date.now() - RECENT_MS))
  const recent = first === undefined ? 0 : Math.min(messages, last - first + 1)
  const detail = `${counted(messages, "dead letter")}, ${recent} of the last hour`
  if (recent < RECENT_MAX) return fine("dead letters", detail, 'look at them with "murmur dead ls"')
  return bad(
    "dead letters",
    `they pile up: ${detail}`,
    'see why with "murmur dead ls"; when it is mended: "murmur dead retry --all"',
  )
}
