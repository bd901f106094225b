import { eventDurables, inboxDurableName } from "../../agents/host.js"
import type { BusCore } from "../../bus/bus-core.js"
import { streamInfo } from "../../bus/streams.js"
import {
  agentRecords,
  agentViews,
  type ConsumerView,
  type MeshState,
  readConsumers,
  readMesh,
} from "../../node/mesh-view.js"
import { counted } from "../text.js"
import { bad, type Check, fine, listed } from "./check.js"

/** What the mesh says about itself. The mesh must exist. */
export async function checkMesh(bus: BusCore): Promise<Check[]> {
  const [state, consumers] = await Promise.all([readMesh(bus), readConsumers(bus)])
  return [
    checkNodes(state),
    checkAgents(state),
    checkConsumers(state, consumers),
    checkLag(state, consumers),
    await checkDead(bus),
  ]
}

function checkNodes({ nodes }: MeshState): Check {
  if (nodes.length === 0) return bad("nodes", "none is alive", 'start one: "murmur up <path>"')
  const versions = new Set(nodes.map(({ version }) => version))
  const detail = `${counted(nodes.length, "node")}: ${listed(nodes.map(({ id }) => id))}`
  if (versions.size === 1) return fine("nodes", detail)
  return fine("nodes", `${detail}; versions ${[...versions].join(", ")}`, "bring all nodes to one version")
}

function checkAgents(state: MeshState): Check {
  const wanted = agentRecords(state).filter(({ name }) => state.table.patternsOf(name).length > 0)
  const hosted = new Set(state.nodes.flatMap(({ agents }) => agents.map(({ name }) => name)))
  const without = wanted.filter(({ name }) => !hosted.has(name)).map(({ name }) => name)
  if (without.length > 0) {
    const fix =
      'start a node with their files ("murmur up <path>"); is one gone for good, remove its routes ("murmur route rm")'
    return bad("agents", `on no living node: ${listed(without)}`, fix)
  }
  const blocked = state.nodes.flatMap(({ agents }) =>
    agents.filter((agent) => agent.blocked !== null).map(({ name, blocked }) => `${name} (${blocked})`),
  )
  if (blocked.length > 0) return bad("agents", `blocked: ${listed(blocked)}`, 'see "murmur agents <name>"')
  const paused = [...state.paused].filter((name) => hosted.has(name))
  const advice = paused.length > 0 ? `paused: ${listed(paused)} ("murmur resume <agent>")` : null
  return fine("agents", `${counted(wanted.length, "agent")}, each on a living node`, advice)
}

function checkConsumers(state: MeshState, consumers: ReadonlyMap<string, ConsumerView>): Check {
  const expected = new Set<string>()
  const allowed = new Set<string>()
  for (const record of agentRecords(state)) {
    const { name, partitions } = record
    for (let partition = 0; partition < partitions; partition++) {
      allowed.add(inboxDurableName(name, partitions, partition))
    }
    if (state.table.patternsOf(name).length === 0) continue
    for (const durable of eventDurables(record)) expected.add(durable)
  }
  const missing = [...expected].filter((name) => !consumers.has(name))
  if (missing.length > 0) {
    return bad("consumers", `missing: ${listed(missing)}`, "start a node with these agents: it makes them")
  }
  const idle = [...consumers.keys()].filter((name) => !expected.has(name) && !allowed.has(name))
  if (idle.length > 0) {
    const fix =
      "left over from an agent that changed its partitions or is gone; remove them with the nats tool (nats consumer rm)"
    return bad("consumers", `of no agent: ${listed(idle)}`, fix)
  }
  return fine("consumers", `${counted(consumers.size, "consumer")}, each of an agent`)
}

function checkLag(state: MeshState, consumers: ReadonlyMap<string, ConsumerView>): Check {
  const behind = agentViews(state, consumers).filter(({ lag }) => lag > 0)
  const total = behind.reduce((sum, { lag }) => sum + lag, 0)
  if (total === 0) return fine("lag", "no event waits")
  const most = behind.sort((a, b) => b.lag - a.lag).map(({ name, lag }) => `${name} ${lag}`)
  return fine(
    "lag",
    `${counted(total, "event")} waiting or at work: ${listed(most)}`,
    'see whether it shrinks: "murmur agents"',
  )
}

async function checkDead(bus: BusCore): Promise<Check> {
  const count = (await streamInfo(bus.link.manager, bus.names.dead))?.state.messages ?? 0
  if (count === 0) return fine("dead letters", "none")
  return fine("dead letters", counted(count, "dead letter"), 'look at them with "murmur dead ls"')
}
