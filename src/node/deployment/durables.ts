import { ACK_WAIT_MS, eventDurables, inboxDurableName, inboxType, SHARED_ACK_WAIT_MS } from "../../agents/host.js"
import type { Bus } from "../../bus/bus.js"
import { type DurableInfo, type DurableOptions, positionOf } from "../../bus/consumers.js"
import type { RouteTable } from "../../router/table.js"
import type { CatalogueRecord } from "../buckets.js"

/** What a deployment needs to know of an agent. */
export type Deployable = Pick<CatalogueRecord, "name" | "partitions" | "ordering" | "inflightMax" | "from">

/** Of one agent: the consumers that it is to have, and those that it had under another partitioning or ordering. */
export interface Durables {
  readonly wanted: readonly DurableOptions[]
  readonly obsolete: readonly DurableInfo[]
}

/** Where the consumers of a stream stand. */
export interface Standing {
  readonly durables: ReadonlyMap<string, DurableInfo>
  /** The last sequence of the stream, read before the durables were. */
  readonly lastSeq: number
}

/** Every node bounds its own share by `inflightMax`. */
const UNBOUNDED = -1
const INBOX_ACK_PENDING_MAX = 100

/**
 * The consumers of an agent's events, as the routing table says: the narrowest filter that covers its patterns, one durable a
 * partition, or one that all nodes share. An agent without routes has none, since an empty filter would mean everything.
 *
 * An agent whose partitions or ordering were changed goes on where it stood: new ones begin at the first event that one of
 * the others has still to have acked.
 */
export async function durablesOfEvents(
  bus: Bus,
  table: RouteTable,
  agent: Deployable,
  standing: Standing,
): Promise<Durables> {
  const patterns = table.coverOf(agent.name)
  const names = patterns.length === 0 ? [] : eventDurables(agent)
  const obsolete = othersOf(standing, isOfEvents(agent.name), names)
  const from = (await firstPosition(bus, obsolete, standing)) ?? startOf(agent)
  const wanted = names.map((name, partition): DurableOptions => {
    const only = { partitions: agent.partitions, partition }
    return {
      stream: bus.names.events,
      name,
      filters: patterns.map((pattern) => bus.names.storedFilter(pattern, agent.ordering === "none" ? {} : only)),
      from,
      ...(agent.ordering === "none"
        ? { ackPendingMax: UNBOUNDED, ackWaitMs: SHARED_ACK_WAIT_MS, pinned: false }
        : { ackPendingMax: agent.inflightMax, ackWaitMs: ACK_WAIT_MS }),
    }
  })
  return { wanted, obsolete }
}

/** The consumers of what is sent to one agent alone, one a partition, as those of its events. */
export async function durablesOfInbox(
  bus: Bus,
  { name, partitions }: Pick<Deployable, "name" | "partitions">,
  standing: Standing,
): Promise<Durables> {
  const names = Array.from({ length: partitions }, (_, partition) => inboxDurableName(name, partitions, partition))
  const obsolete = othersOf(standing, isOfInbox(name), names)
  const from = await firstPosition(bus, obsolete, standing)
  const wanted = names.map(
    (durable, partition): DurableOptions => ({
      stream: bus.names.events,
      name: durable,
      filters: [bus.names.storedFilter(inboxType(name), { partitions, partition })],
      ...(from !== undefined && { from }),
      ackPendingMax: INBOX_ACK_PENDING_MAX,
      ackWaitMs: ACK_WAIT_MS,
    }),
  )
  return { wanted, obsolete }
}

/** Whether a consumer is one of an agent's events, however it is partitioned. */
export function isOfEvents(agent: string): (durable: string) => boolean {
  return (durable) => durable === agent || new RegExp(`^${agent}=(any|\\d+)$`).test(durable)
}

/** Whether a consumer is one of an agent's inbox, however it is partitioned. */
export function isOfInbox(agent: string): (durable: string) => boolean {
  return (durable) => new RegExp(`^${agent}=inbox(=\\d+)?$`).test(durable)
}

function othersOf(
  { durables }: Standing,
  isOfAgent: (durable: string) => boolean,
  wanted: readonly string[],
): DurableInfo[] {
  return [...durables.values()].filter(({ name }) => isOfAgent(name) && !wanted.includes(name))
}

/** The first event that one of these has still to have acked. What others of them acked above it comes once more. */
async function firstPosition(
  bus: Bus,
  durables: readonly DurableInfo[],
  { lastSeq }: Standing,
): Promise<number | undefined> {
  if (durables.length === 0) return undefined
  return Math.min(...(await Promise.all(durables.map((info) => positionOf(bus.link, info, lastSeq)))))
}

function startOf({ from }: Deployable): "now" | "start" | Date {
  return from === "now" || from === "start" ? from : new Date(from)
}
