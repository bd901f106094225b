import type { BusCore } from "../bus/bus-core.js"
import { MurmurError } from "../errors.js"
import { closest } from "../router/closest.js"
import { CatalogueRecord, openBuckets, readAll } from "./buckets.js"
import { awaitNodes } from "./mesh-follow.js"
import { pauseKey, wakeKey } from "./mesh-view.js"

/** How long nodes may take to follow, in milliseconds. */
const FOLLOW_MS = 5_000

/** Nodes that did not say in time that they follow; empty when all do. */
export interface Followed {
  readonly behind: readonly string[]
}

/**
 * Stops or starts an agent's consumption on all nodes, also on those that come later. What runs is finished; what waits
 * stays with its consumer. Starting also ends its quarantine, where it has one.
 *
 * @throws MurmurError `AGENT_UNKNOWN` with the names that are close
 */
export async function setPaused(bus: BusCore, agent: string, paused: boolean): Promise<Followed> {
  const buckets = await openBuckets(bus)
  requireAgent(agent, await readAll(buckets.catalogue, CatalogueRecord))
  const key = pauseKey(agent)
  if (!paused) {
    await buckets.settings.delete(key)
    await buckets.settings.put(wakeKey(agent), { at: new Date().toISOString(), by: "cli" })
  } else if ((await buckets.settings.get(key)) === undefined) {
    await buckets.settings.put(key, { at: new Date().toISOString(), by: "cli" })
  }
  const behind = await awaitNodes(
    buckets.presence,
    ({ agents }) => agents.every(({ name, state }) => name !== agent || (state === "paused") === paused),
    FOLLOW_MS,
  )
  return { behind }
}

/**
 * The agent's record in the catalogue.
 *
 * @throws MurmurError `AGENT_UNKNOWN` with the names that are close
 */
export function requireAgent(agent: string, catalogue: readonly CatalogueRecord[]): CatalogueRecord {
  const agents = catalogue.filter(({ kind }) => kind === "agent")
  const found = agents.find(({ name }) => name === agent)
  if (found !== undefined) return found
  const names = agents.map(({ name }) => name)
  const close = closest(agent, names)
  const quoted = (list: readonly string[]): string => list.map((name) => `"${name}"`).join(", ")
  const hint =
    close.length > 0
      ? `did you mean ${quoted(close)}?`
      : names.length > 0
        ? `known agents: ${quoted(names.slice(0, 10))}`
        : "the mesh knows no agents yet"
  throw new MurmurError(`There is no agent "${agent}": ${hint}`, { code: "AGENT_UNKNOWN", details: { agent, close } })
}
