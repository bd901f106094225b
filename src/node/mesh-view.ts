import { type Consumed, eventDurables } from "../agents/host.js"
import type { BusCore } from "../bus/bus-core.js"
import { hasLabels, type Labels, labelText } from "../router/labels.js"
import { LiveRoutes } from "../router/live.js"
import { matches } from "../router/pattern.js"
import type { Route } from "../router/route.js"
import type { RouteTable } from "../router/table.js"
import { type AgentUsage, NO_USAGE } from "./agent-usage.js"
import {
  CatalogueRecord,
  type MeshBuckets,
  openBuckets,
  PresenceRecord,
  type PresentProvider,
  readAll,
} from "./buckets.js"

/** Everything that the mesh says about itself, read at one moment. */
export interface MeshState {
  /** All that was ever announced, whether or not a node hosts it now. */
  readonly catalogue: readonly CatalogueRecord[]
  /** The nodes that gave a sign of life lately. */
  readonly nodes: readonly PresenceRecord[]
  /** Agents that an operator has paused. */
  readonly paused: ReadonlySet<string>
  readonly table: RouteTable
}

/** What waits in one consumer. */
export interface ConsumerView {
  readonly name: string
  /** Not handed out yet. */
  readonly pending: number
  /** Handed out and not finished. */
  readonly unacked: number
  readonly redelivered: number
}

/** An agent as the mesh sees it. Counts are sums over its nodes, since each of them started, unless they say otherwise. */
export interface AgentView {
  readonly name: string
  /** `stopped`: no node that is alive hosts it. `quarantined`: at least on one node, since it fails again and again. */
  readonly state: "running" | "paused" | "quarantined" | "stopped"
  /** Why no node hosts it, when none does. */
  readonly why: string | null
  /** Ids of the nodes that host it. */
  readonly nodes: readonly string[]
  /** Events that wait for it or are being worked on. */
  readonly lag: number
  readonly steps: number
  readonly failures: number
  readonly sessions: number
  readonly retries: number
  readonly deadLetters: number
  readonly inflight: number
  /** What holds it up on some node. */
  readonly blocked: string | null
  /** What it has used of models since it is counted, on all nodes that there ever were; and of that, this UTC day. */
  readonly tokens: number
  readonly costUsd: number
  readonly tokensToday: number
  readonly costUsdToday: number
  readonly description: string | null
}

/** A node as the mesh sees it. */
export interface NodeView {
  readonly id: string
  readonly host: string
  /** Of murmur. */
  readonly version: string
  /** Of its agents' code: `MURMUR_CODE_VERSION`, or the version in their `package.json`. */
  readonly codeVersion: string | null
  readonly labels: Labels
  readonly agents: readonly string[]
  /** By agent, the partitions that it owns; of agents that have more than one, and whose events come in order. */
  readonly partitions: Readonly<Record<string, { readonly of: number; readonly owned: readonly number[] }>>
  readonly since: string
  readonly sources: readonly string[]
  readonly http: string | null
  readonly pid: number
  /** It leaves: it finishes what it has begun. */
  readonly draining: boolean
  /** The providers of models that its agents may ask, once one of them has asked any. */
  readonly providers: readonly PresentProvider[]
}

/** An event type as the mesh sees it. */
export interface EventView {
  readonly type: string
  /** JSON Schema of its data. */
  readonly schema: unknown
  /** Agents and sources that declare that they emit it. */
  readonly emittedBy: readonly string[]
  /** Agents that a route brings it to. */
  readonly reactedBy: readonly string[]
  readonly description: string | null
}

/** Reads what the mesh says about itself. The mesh must exist. */
export async function readMesh(bus: BusCore): Promise<MeshState> {
  return readState(await openBuckets(bus))
}

/** {@link readMesh} for buckets that are open. */
export async function readState(buckets: MeshBuckets): Promise<MeshState> {
  const [catalogue, nodes, paused, table] = await Promise.all([
    readAll(buckets.catalogue, CatalogueRecord),
    readAll(buckets.presence, PresenceRecord),
    readPaused(buckets),
    readTable(buckets),
  ])
  const byName = (a: { name: string }, b: { name: string }): number => compare(a.name, b.name)
  return { catalogue: catalogue.sort(byName), nodes: nodes.sort((a, b) => compare(a.id, b.id)), paused, table }
}

/** The settings' key under which an agent is paused. */
export function pauseKey(agent: string): string {
  return `pause.${agent}`
}

/** The settings' key under which an agent was last resumed: nodes that see it anew end the agent's quarantine. */
export function wakeKey(agent: string): string {
  return `wake.${agent}`
}

async function readPaused({ settings }: MeshBuckets): Promise<Set<string>> {
  const paused = new Set<string>()
  for await (const { key } of settings.entries(pauseKey("*"))) paused.add(key.slice(pauseKey("").length))
  return paused
}

async function readTable({ routes }: MeshBuckets): Promise<RouteTable> {
  const reading = new AbortController()
  try {
    return (await LiveRoutes.open(routes, [], { signal: reading.signal })).table
  } finally {
    reading.abort()
  }
}

/** The agents of the catalogue. */
export function agentRecords({ catalogue }: MeshState): CatalogueRecord[] {
  return catalogue.filter(({ kind }) => kind === "agent")
}

/** What waits in each durable consumer of the mesh's events, by its name. One request for 256 of them. */
export async function readConsumers(bus: BusCore): Promise<Map<string, ConsumerView>> {
  const consumers = new Map<string, ConsumerView>()
  for await (const info of bus.link.manager.consumers.list(bus.names.events)) {
    if (info.config.durable_name === undefined) continue // somebody who reads history
    const { name, num_pending: pending, num_ack_pending: unacked, num_redelivered: redelivered } = info
    consumers.set(name, { name, pending, unacked, redelivered })
  }
  return consumers
}

/** The consumers of one agent's events; none when it has no routes. */
export function consumersOf(agent: Consumed, consumers: ReadonlyMap<string, ConsumerView>): ConsumerView[] {
  return eventDurables(agent).flatMap((durable) => consumers.get(durable) ?? [])
}

/** All agents, by name. @param usage by agent ({@link readUsage}) */
export function agentViews(
  state: MeshState,
  consumers: ReadonlyMap<string, ConsumerView>,
  usage: ReadonlyMap<string, AgentUsage> = new Map(),
): AgentView[] {
  return agentRecords(state).map((record) => agentView(state, record, consumers, usage.get(record.name)))
}

/** One agent. */
export function agentView(
  { nodes, paused }: MeshState,
  record: CatalogueRecord,
  consumers: ReadonlyMap<string, ConsumerView>,
  { tokens, costMicroUsd, tokensToday, costMicroUsdToday }: AgentUsage = NO_USAGE,
): AgentView {
  const { name } = record
  const present = nodes.flatMap(({ id, agents }) =>
    agents.filter((agent) => agent.name === name).map((agent) => ({ id, agent })),
  )
  const sum = (read: (agent: PresenceRecord["agents"][number]) => number): number =>
    present.reduce((total, { agent }) => total + read(agent), 0)
  const waiting = consumersOf(record, consumers)
  const quarantined = present.some(({ agent }) => agent.state === "quarantined")
  return {
    name,
    state: present.length === 0 ? "stopped" : paused.has(name) ? "paused" : quarantined ? "quarantined" : "running",
    why: present.length === 0 ? whyStopped(record, nodes) : null,
    nodes: present.map(({ id }) => id),
    lag: waiting.reduce((total, { pending, unacked }) => total + pending + unacked, 0),
    steps: sum(({ steps }) => steps),
    failures: sum(({ failures }) => failures),
    sessions: sum(({ sessions }) => sessions),
    retries: sum(({ retries }) => retries),
    deadLetters: sum(({ deadLetters }) => deadLetters),
    inflight: sum(({ inflight }) => inflight),
    blocked: present.find(({ agent }) => agent.blocked !== null)?.agent.blocked ?? null,
    tokens,
    costUsd: costMicroUsd / 1_000_000,
    tokensToday,
    costUsdToday: costMicroUsdToday / 1_000_000,
    description: record.description ?? null,
  }
}

function whyStopped({ nodeSelector = {} }: CatalogueRecord, nodes: readonly PresenceRecord[]): string {
  if (nodes.length === 0) return "no node is alive"
  if (nodes.some(({ labels }) => hasLabels(labels, nodeSelector))) return "no node that is alive hosts it (--agents)"
  return `no node that is alive has the labels ${labelText(nodeSelector)}`
}

/** All nodes that are alive, by id. */
export function nodeViews({ nodes }: MeshState): NodeView[] {
  return nodes.map(
    ({ id, host, version, codeVersion, labels, agents, since, sources, http, pid, draining, providers }) => ({
      id,
      host,
      version,
      codeVersion,
      labels,
      agents: agents.map(({ name }) => name),
      partitions: partitionsOf(agents),
      since,
      sources: sources.map(({ name }) => name),
      http,
      pid,
      draining,
      providers,
    }),
  )
}

function partitionsOf(agents: PresenceRecord["agents"]): NodeView["partitions"] {
  const spread = agents.filter(({ partitions }) => partitions > 1)
  return Object.fromEntries(spread.map(({ name, partitions, owned }) => [name, { of: partitions, owned }]))
}

/** All event types that somebody has declared, by type. */
export function eventViews({ catalogue, table }: MeshState): EventView[] {
  const known = new Map<string, { schema: unknown; description: string | undefined; byEmitter: boolean }>()
  for (const record of catalogue) {
    for (const { type, schema, description } of record.events) {
      // who emits an event knows best what is in it
      const byEmitter = record.emits.includes(type)
      const before = known.get(type)
      if (before === undefined || (byEmitter && !before.byEmitter)) known.set(type, { schema, description, byEmitter })
    }
  }
  const views = [...known].map(([type, { schema, description }]) => ({
    type,
    schema,
    emittedBy: catalogue.filter(({ emits }) => emits.includes(type)).map(({ name }) => name),
    reactedBy: agentsFor(type, table.routes),
    description: description ?? null,
  }))
  return views.sort((a, b) => compare(a.type, b.type))
}

function agentsFor(type: string, routes: readonly Route[]): string[] {
  return [...new Set(routes.filter(({ pattern }) => matches(pattern, type)).map(({ agent }) => agent))].sort(compare)
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
