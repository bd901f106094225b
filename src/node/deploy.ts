import { ACK_WAIT_MS, durableName, inboxDurableName, inboxType } from "../agents/host.js"
import type { Bus } from "../bus/bus.js"
import { ensureDurable, removeDurable } from "../bus/consumers.js"
import type { RouteTable } from "../router/table.js"
import type { CatalogueRecord } from "./buckets.js"

/** What was done to one consumer. */
export interface ConsumerChange {
  readonly consumer: string
  readonly action: "created" | "updated" | "unchanged" | "removed"
}

/** What a deployment needs to know of an agent. */
export type Deployable = Pick<CatalogueRecord, "name" | "partitions" | "inflightMax" | "from">

/**
 * Makes an agent's consumers what the routing table says: the narrowest filter that covers its patterns, one durable a
 * partition. An agent without routes has none, since an empty filter would mean everything.
 */
export async function deployConsumers(bus: Bus, table: RouteTable, agent: Deployable): Promise<ConsumerChange[]> {
  const patterns = table.coverOf(agent.name)
  const changes: ConsumerChange[] = []
  for (let partition = 0; partition < agent.partitions; partition++) {
    const name = durableName(agent.name, agent.partitions, partition)
    if (patterns.length === 0) {
      await removeDurable(bus.link, bus.names.events, name)
      changes.push({ consumer: name, action: "removed" })
      continue
    }
    const only = { partitions: agent.partitions, partition }
    const action = await ensureDurable(bus.link, {
      stream: bus.names.events,
      name,
      filters: patterns.map((pattern) => bus.names.storedFilter(pattern, only)),
      from: agent.from === "now" || agent.from === "start" ? agent.from : new Date(agent.from),
      ackPendingMax: agent.inflightMax,
      ackWaitMs: ACK_WAIT_MS,
    })
    changes.push({ consumer: name, action })
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
