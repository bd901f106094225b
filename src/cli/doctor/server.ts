import type { BusCore } from "../../bus/bus-core.js"
import type { RunningServer } from "../../bus/server/running.js"
import { RETENTION_SETTINGS, streamConfigs } from "../../bus/stream-configs.js"
import { streamInfo } from "../../bus/streams.js"
import { duration } from "../text.js"
import { bad, type Check, fine, listed } from "./check.js"

const SKEW_MS_MAX = 1_000
const GIBI = 1024 ** 3

/** JetStream answers; how much of its room is used. */
export async function checkJetStream(bus: BusCore): Promise<Check> {
  const { storage, limits } = await bus.link.manager.getAccountInfo()
  const max = limits.max_storage
  const room = max > 0 ? ` of ${(max / GIBI).toFixed(1)} GiB` : ""
  const detail = `${(storage / GIBI).toFixed(2)} GiB stored${room}`
  if (max > 0 && storage > 0.9 * max) return bad("jetstream", detail, "raise the account's storage limit, or keep less")
  return fine("jetstream", detail)
}

/** The mesh's streams are there and made as they must be. */
export async function checkStreams(bus: BusCore): Promise<Check> {
  const missing: string[] = []
  const different: string[] = []
  const chosen: string[] = []
  for (const wanted of streamConfigs(bus.names)) {
    const found = await streamInfo(bus.link.manager, wanted.name)
    if (found === undefined) {
      missing.push(wanted.name)
      continue
    }
    const config = found.config as unknown as Record<string, unknown>
    for (const [setting, value] of Object.entries(wanted)) {
      if (JSON.stringify(config[setting]) === JSON.stringify(value)) continue
      ;(RETENTION_SETTINGS.includes(setting) ? chosen : different).push(`${wanted.name}.${setting}`)
    }
  }
  if (missing.length > 0) {
    return bad(
      "streams",
      `missing: ${listed(missing)}`,
      `"murmur up" makes them (mesh "${bus.names.mesh}"; is --mesh right?)`,
    )
  }
  if (different.length > 0) {
    return bad(
      "streams",
      `not as expected: ${listed(different)}`,
      "start a node of this version: it brings them up to date",
    )
  }
  return fine("streams", chosen.length > 0 ? `as expected; own choice: ${listed(chosen)}` : "as expected")
}

/** Whether an ack means disk. Only a server on this machine tells. */
export async function checkSync(local: RunningServer | undefined): Promise<Check> {
  const name = "sync interval"
  const how = 'look for "sync_interval: always" in the jetstream block of each server\'s configuration'
  const always = local?.monitorUrl === undefined ? undefined : await readSyncAlways(local.monitorUrl)
  if (always === true) return fine(name, "always: an ack means disk")
  if (always === undefined) return fine(name, "not known: the server does not tell over NATS", how)
  return bad(name, "not always: a power cut can lose what was acknowledged", how)
}

async function readSyncAlways(monitorUrl: string): Promise<boolean | undefined> {
  try {
    const answer = await fetch(`${monitorUrl}/varz`, { signal: AbortSignal.timeout(2_000) })
    const { jetstream } = (await answer.json()) as { jetstream?: { config?: { sync_always?: boolean } } }
    return jetstream?.config === undefined ? undefined : jetstream.config.sync_always === true
  } catch {
    return undefined
  }
}

/** This machine's clock against the server's. */
export async function checkClock(bus: BusCore): Promise<Check> {
  const before = Date.now()
  const info = await streamInfo(bus.link.manager, bus.names.events)
  const after = Date.now()
  const server = Date.parse((info as { ts?: string } | undefined)?.ts ?? "")
  if (Number.isNaN(server)) return fine("clock", "not known: the server did not say its time")
  // the server looked at its clock at some moment between asking and answering
  const skew = server < before ? before - server : server > after ? server - after : 0
  const detail = `${duration(skew)} apart from the server's`
  if (skew <= SKEW_MS_MAX) return fine("clock", detail)
  return bad("clock", detail, "let both machines keep time by NTP: windows and --since go by it")
}
