import {
  ACK_WAIT_MS,
  eventDurables,
  inboxDurableName,
  inboxType,
  SHARED_ACK_WAIT_MS,
  sharedDurableName,
} from "../agents/host.js"
import type { Bus } from "../bus/bus.js"
import { type DurableOptions, durableInfo, ensureDurable, removeDurable } from "../bus/consumers.js"
import type { RouteTable } from "../router/table.js"
import type { CatalogueRecord } from "./buckets.js"

/** What was done to one consumer. */
export interface ConsumerChange {
  readonly consumer: string
  readonly action: "created" | "updated" | "unchanged" | "removed"
}

/** What a deployment needs to know of an agent. */
export type Deployable = Pick<CatalogueRecord, "name" | "partitions" | "ordering" | "inflightMax" | "from">

/** Every node bounds its own share by `inflightMax`. */
const UNBOUNDED = -1
const NOTHING_BEFORE = { from: undefined, others: [] }

/**
 * Makes an agent's consumers what the routing table says: the narrowest filter that covers its patterns, one durable a
 * partition, or one that all nodes share. An agent without routes has none, since an empty filter would mean everything.
 *
 * An agent whose ordering was changed goes on where it stood: the new consumers begin behind what was acked, then the
 * old ones are removed.
 */
export async function deployConsumers(bus: Bus, table: RouteTable, agent: Deployable): Promise<ConsumerChange[]> {
  const patterns = table.coverOf(agent.name)
  const wanted = patterns.length === 0 ? [] : eventDurables(agent)
  const { from, others } = bus.link.rights.restricted ? NOTHING_BEFORE : await beforeTheChange(bus, agent)
  const changes: ConsumerChange[] = []
  for (const [partition, name] of wanted.entries()) {
    const only = { partitions: agent.partitions, partition }
    const options: DurableOptions = {
      stream: bus.names.events,
      name,
      filters: patterns.map((pattern) => bus.names.storedFilter(pattern, only)),
      from: from ?? startOf(agent),
      ...(agent.ordering === "none"
        ? { ackPendingMax: UNBOUNDED, ackWaitMs: SHARED_ACK_WAIT_MS, pinned: false }
        : { ackPendingMax: agent.inflightMax, ackWaitMs: ACK_WAIT_MS }),
    }
    changes.push({ consumer: name, action: await ensureDurable(bus.link, options) })
  }
  for (const name of wanted.length === 0 ? [...eventDurables(agent), ...others] : others) {
    await removeDurable(bus.link, bus.names.events, name)
    changes.push({ consumer: name, action: "removed" })
  }
  return changes
}

/** Makes the consumers of what is sent to one agent alone, one a partition, as those of its events. */
export async function deployInbox(
  bus: Bus,
  { name, partitions }: Pick<Deployable, "name" | "partitions">,
): Promise<void> {
  for (let partition = 0; partition < partitions; partition++) {
    await ensureDurable(bus.link, {
      stream: bus.names.events,
      name: inboxDurableName(name, partitions, partition),
      filters: [bus.names.storedFilter(inboxType(name), { partitions, partition })],
      ackPendingMax: 100,
      ackWaitMs: ACK_WAIT_MS,
    })
  }
}

function startOf({ from }: Deployable): "now" | "start" | Date {
  return from === "now" || from === "start" ? from : new Date(from)
}

/**
 * The consumers that the agent had under its other ordering, and where they had come to: behind the lowest of their ack
 * floors. What was acked above it comes once more; nothing is left out.
 */
async function beforeTheChange(bus: Bus, agent: Deployable): Promise<{ from: number | undefined; others: string[] }> {
  const others: string[] = []
  let from: number | undefined
  for (const name of await namesUnderOtherOrdering(bus, agent)) {
    const info = await durableInfo(bus.link, bus.names.events, name)
    if (info === undefined) continue
    others.push(name)
    from = Math.min(from ?? Number.POSITIVE_INFINITY, info.ack_floor.stream_seq + 1)
  }
  return { from, others }
}

async function namesUnderOtherOrdering(bus: Bus, { name, ordering }: Deployable): Promise<string[]> {
  if (ordering === "key") return [sharedDurableName(name)]
  const found: string[] = []
  for await (const durable of bus.link.manager.consumers.list(bus.names.events)) {
    const [agent, partition] = durable.name.split("=")
    if (agent === name && (partition === undefined || /^\d+$/.test(partition))) found.push(durable.name)
  }
  return found
}
