import { JetStreamApiError, type JetStreamManager, type StreamConfig } from "@nats-io/jetstream"
import type { Log } from "../telemetry/ports.js"

/** What is asked for at least: with less a mesh would forget its events while it works on them. */
const BYTES_MIN = 64 * 1024 ** 2

/** `insufficient storage resources` of a server, `insufficient resources`, and the limit of an account on one stream. */
const NO_ROOM = new Set([10047, 10023, 10122])
const NO_PEERS = 10005

/** Whether the server refused a stream because it has not so much storage. */
export function isNoRoom(error: unknown): boolean {
  if (!(error instanceof JetStreamApiError)) return false
  if (NO_ROOM.has(error.code)) return true
  return error.code === NO_PEERS && /storage/i.test(error.message) // a cluster says it of each of its servers
}

/** A stream that reserves bytes. */
type Sized = Partial<StreamConfig> & Pick<StreamConfig, "name" | "subjects" | "max_bytes">

/**
 * Makes a stream as large as wanted, or, where the server has less room, about half as large as would fit: the rest is for the
 * mesh's other streams, which reserve nothing. The server does not tell how much it offers, so what is wanted is halved until
 * it is accepted. Says so in the log; never less than 64 MiB.
 *
 * @throws JetStreamApiError for which {@link isNoRoom} holds when 64 MiB do not fit either
 */
export async function addWithinRoom(manager: JetStreamManager, wanted: Sized, log: Log): Promise<void> {
  let bytes = wanted.max_bytes
  while (!(await fits(manager, wanted, bytes))) bytes = Math.max(BYTES_MIN, Math.floor(bytes / 2))
  if (bytes === wanted.max_bytes) return
  const kept = Math.max(BYTES_MIN, Math.floor(bytes / 2))
  if (kept < bytes) await manager.streams.update(wanted.name, { max_bytes: kept })
  log.warn(
    { stream: wanted.name, wantedBytes: wanted.max_bytes, bytesMax: kept },
    "the server has too little storage for the stream's default size: it was made smaller, old events go sooner",
  )
}

async function fits(manager: JetStreamManager, wanted: Sized, bytes: number): Promise<boolean> {
  try {
    await manager.streams.add({ ...wanted, max_bytes: bytes })
    return true
  } catch (error) {
    if (bytes <= BYTES_MIN || !isNoRoom(error)) throw error
    return false
  }
}
