import { eventDurables, inboxDurableName } from "../../agents/host.js"
import type { BusCore } from "../../bus/bus-core.js"
import type { CatalogueRecord } from "../../node/buckets.js"
import { isOfEvents, isOfInbox } from "../../node/deployment/durables.js"
import {
  agentRecords,
  agentViews,
  type ConsumerView,
  consumersOf,
  type MeshState,
  readConsumers,
  readMesh,
} from "../../node/mesh-view.js"
import { counted } from "../text.js"
import { bad, type Check, fine, listed } from "./check.js"
import { checkDead } from "./dead.js"

/** What the mesh says about itself. The mesh must exist. */
export async function checkMesh(bus: BusCore): Promise<Check[]> {
  const [state, consumers] = await Promise.all([readMesh(bus), readConsumers(bus)])
  return [
    checkNodes(state),
    checkAgents(state, consumers),
    checkConsumers(state, consumers, bus.names.events),
    checkLag(state, consumers),
    await checkDead(bus),
  ]
}

/** The nodes that are alive, and whether they are of one version. */
export function checkNodes({ nodes }: MeshState): Check {
  if (nodes.length === 0) return bad("nodes", "none is alive", 'start one: "murmur up <path>"')
  const versions = new Set(nodes.map(({ version }) => version))
  const codes = new Set(nodes.flatMap(({ codeVersion }) => codeVersion ?? []))
  const detail = `${counted(nodes.length, "node")}: ${listed(nodes.map(({ id }) => id))}`
  if (versions.size > 1) {
    return fine("nodes", `${detail}; versions ${[...versions].join(", ")}`, "bring all nodes to one version")
  }
  if (codes.size < 2) return fine("nodes", detail)
  return fine(
    "nodes",
    `${detail}; code ${[...codes].join(", ")}`,
    'an update that goes on, or one that stopped: see "murmur nodes"',
  )
}

function checkAgents(state: MeshState, consumers: ReadonlyMap<string, ConsumerView>): Check {
  const wanted = agentRecords(state).filter(({ name }) => state.table.patternsOf(name).length > 0)
  const hosted = new Set(state.nodes.flatMap(({ agents }) => agents.map(({ name }) => name)))
  const without = wanted.filter(({ name }) => !hosted.has(name))
  if (without.length > 0) {
    const names = without.map((record) => withBacklog(record, consumers))
    const fix =
      'start a node with their files ("murmur up <path>"), with the labels that they ask for; are they gone for good: "murmur deploy <paths of the others> --prune"'
    return bad("agents", `on no living node: ${listed(names)}`, fix)
  }
  const troubled = state.nodes.flatMap(({ agents }) => agents.flatMap(troubleOf))
  if (troubled.length > 0) {
    return bad(
      "agents",
      listed(troubled),
      'see "murmur agents <name>" and "murmur dead ls"; "murmur resume <agent>" ends a quarantine',
    )
  }
  const paused = [...state.paused].filter((name) => hosted.has(name))
  const advice = paused.length > 0 ? `paused: ${listed(paused)} ("murmur resume <agent>")` : null
  return fine("agents", `${counted(wanted.length, "agent")}, each on a living node`, advice)
}

function withBacklog(record: CatalogueRecord, consumers: ReadonlyMap<string, ConsumerView>): string {
  const waiting = consumersOf(record, consumers).reduce((sum, { pending, unacked }) => sum + pending + unacked, 0)
  return waiting === 0 ? record.name : `${record.name} (${counted(waiting, "event")} waiting)`
}

function troubleOf({ name, blocked, state }: MeshState["nodes"][number]["agents"][number]): string[] {
  if (blocked !== null) return [`${name} is blocked (${blocked})`]
  return state === "quarantined" ? [`${name} is quarantined: it fails again and again`] : []
}

function checkConsumers(state: MeshState, consumers: ReadonlyMap<string, ConsumerView>, stream: string): Check {
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
    return bad(
      "consumers",
      `missing: ${listed(missing)}`,
      '"murmur deploy", or a node with these agents that may do so, makes them',
    )
  }
  const idle = [...consumers.keys()].filter((name) => !expected.has(name) && !allowed.has(name))
  if (idle.length === 0) return fine("consumers", `${counted(consumers.size, "consumer")}, each of an agent`)
  const agents = agentRecords(state)
  const outgrown = idle.filter((durable) =>
    agents.some(({ name }) => isOfEvents(name)(durable) || isOfInbox(name)(durable)),
  )
  const fix =
    outgrown.length > 0
      ? `"murmur deploy <paths>" removes those of other partitions (${listed(outgrown)})`
      : `remove what nobody needs: nats consumer rm ${stream} ${idle[0]}`
  return bad("consumers", `of no agent: ${listed(idle)}`, fix)
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
