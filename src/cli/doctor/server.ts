import type { BusCore } from "../../bus/bus-core.js"
import { RETENTION_SETTINGS, streamConfigs } from "../../bus/stream-configs.js"
import { streamInfo } from "../../bus/streams.js"
import { ensureError } from "../../errors.js"
import { CatalogueRecord, readAll } from "../../node/buckets.js"
import { checkStamp, readStamp, STAMP_KEY } from "../../node/deployment/stamp.js"
import { duration } from "../text.js"
import { bad, type Check, fine, listed } from "./check.js"

const SKEW_MS_MAX = 1_000

/** The mesh's streams are there and made as they must be. */
export async function checkStreams(bus: BusCore): Promise<Check> {
  const missing: string[] = []
  const different: string[] = []
  const chosen: string[] = []
  for (const wanted of streamConfigs(bus.names, { agents: await knownAgents(bus) })) {
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
      `"murmur up" or "murmur deploy" makes them (mesh "${bus.names.mesh}"; is --mesh right?)`,
    )
  }
  if (different.length > 0) {
    return bad(
      "streams",
      `not as expected: ${listed(different)}`,
      "murmur deploy (or start a node of this version that may do so): it brings them up to date",
    )
  }
  return fine("streams", chosen.length > 0 ? `as expected; own choice: ${listed(chosen)}` : "as expected")
}

/** The agents that the mesh knows: each may have streams of its own. */
async function knownAgents(bus: BusCore): Promise<string[]> {
  const catalogue = await bus.findBucket("catalogue")
  if (catalogue === undefined) return []
  const records = await readAll(catalogue, CatalogueRecord)
  return records.filter(({ kind }) => kind === "agent").map(({ name }) => name)
}

/** Whether this murmur knows the form in which the mesh was deployed. */
export async function checkFormat(bus: BusCore): Promise<Check[]> {
  const settings = await bus.findBucket("settings")
  const stamp = (await settings?.get(STAMP_KEY))?.value
  try {
    checkStamp(bus.names.mesh, stamp)
    return []
  } catch (error) {
    const fix = `run murmur ${readStamp(stamp)?.version ?? ""} or newer here, and in nodes`
    return [bad("version", ensureError(error).message, fix)]
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
