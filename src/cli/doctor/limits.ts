import type { BusCore } from "../../bus/bus-core.js"
import { listStreams } from "../../bus/stream-admin.js"
import { bad, type Check, fine, listed } from "./check.js"

const NEAR = 0.8
const KIBI = 1024
/** Artifacts are sent in pieces of 128 KiB, and a journal holds whole answers of models. */
const PAYLOAD_MIN = 256 * KIBI

/** The server's bound on one message. */
export function checkPayload(bus: BusCore): Check {
  const bytes = bus.link.connection.info?.max_payload ?? 0
  const detail = `messages of up to ${Math.round(bytes / KIBI)} KiB`
  if (bytes >= PAYLOAD_MIN) return fine("payload", detail)
  return bad(
    "payload",
    detail,
    `set max_payload to 1MB, at least ${PAYLOAD_MIN / KIBI}KB, in each server's configuration`,
  )
}

/** Streams, buckets and artifacts that are nearly as large as they may be. Where the oldest go first that is as meant. */
export async function checkRoom(bus: BusCore): Promise<Check> {
  const full: string[] = []
  const turning: string[] = []
  for (const { config, state } of await listStreams(bus.link, bus.names.mesh)) {
    const limits: [what: string, used: number, max: number][] = [
      ["bytes", state.bytes, config.max_bytes],
      ["messages", state.messages, config.max_msgs],
      ["consumers", state.consumer_count, config.max_consumers],
    ]
    for (const [what, used, max] of limits) {
      if (max <= 0 || used <= NEAR * max) continue
      const told = `${config.name}: ${Math.floor((used / max) * 100)} % of its ${what}`
      if (config.discard === "old" && what !== "consumers") turning.push(told)
      else full.push(told)
    }
  }
  if (full.length > 0) {
    return bad(
      "room",
      listed(full),
      'make it larger ("nats stream edit <stream> --max-bytes ..."), or remove what is not needed: then new entries are refused',
    )
  }
  if (turning.length === 0) return fine("room", "no stream is near its limits")
  return fine("room", listed(turning), 'the oldest go first; to keep more: "murmur deploy --events-size 20GiB"')
}

/** JetStream's limits on the account. */
export async function checkAccount(bus: BusCore): Promise<Check> {
  const { storage, streams, consumers, limits } = await bus.link.manager.getAccountInfo()
  const gibi = (bytes: number): string => (bytes / KIBI ** 3).toFixed(2)
  const bounds: [what: string, used: number, max: number, told: string][] = [
    ["storage", storage, limits.max_storage, `${gibi(storage)} of ${gibi(limits.max_storage)} GiB`],
    ["streams", streams, limits.max_streams, `${streams} of ${limits.max_streams}`],
    ["consumers", consumers, limits.max_consumers, `${consumers} of ${limits.max_consumers}`],
  ]
  const near = bounds.filter(([, used, max]) => max > 0 && used > NEAR * max)
  if (near.length > 0) {
    const detail = near.map(([what, , , told]) => `${what}: ${told}`).join(", ")
    return bad("jetstream", detail, "raise the account's limits in the servers' configuration, or keep less")
  }
  const room = limits.max_storage > 0 ? ` of ${gibi(limits.max_storage)} GiB` : ""
  return fine("jetstream", `${gibi(storage)} GiB stored${room}`)
}

/** On a cluster one copy is too few; and what is kept in fewer copies than the events are goes with its server. */
export async function checkCopies(bus: BusCore): Promise<Check> {
  const streams = await listStreams(bus.link, bus.names.mesh)
  const of = ({ config }: (typeof streams)[number]): number => config.num_replicas
  const events = streams.find(({ config }) => config.name === bus.names.events)
  const wanted = events === undefined ? 1 : of(events)
  if (bus.link.connection.info?.cluster === undefined) return fine("copies", "one server, one copy")
  if (wanted === 1) {
    return bad(
      "copies",
      "a cluster, and events are kept in one copy: they go with its server",
      "murmur deploy --replicas 3",
    )
  }
  const fewer = streams.filter((stream) => of(stream) < wanted).map(({ config }) => config.name)
  if (fewer.length === 0) return fine("copies", `${wanted} of everything`)
  return bad("copies", `fewer than the ${wanted} of the events: ${listed(fewer)}`, `murmur deploy --replicas ${wanted}`)
}
