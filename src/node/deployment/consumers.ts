import type { Bus } from "../../bus/bus.js"
import { durableDifferences, ensureDurable, listDurables, removeDurable } from "../../bus/consumers.js"
import { scheduleDurable } from "../../bus/schedules.js"
import { streamInfo } from "../../bus/streams.js"
import { wakeDurable } from "../../bus/timers.js"
import { combineRoutes } from "../../router/combine.js"
import { readRecords } from "../../router/route-bucket.js"
import { RouteTable } from "../../router/table.js"
import { openBucket } from "../buckets.js"
import {
  type Deployable,
  type Durables,
  durablesOfEvents,
  durablesOfInbox,
  isOfEvents,
  isOfInbox,
  type Standing,
} from "./durables.js"
import type { Found } from "./found.js"
import { hasInbox } from "./inboxes.js"
import { isChange, type PlannedChange, type Stage, toCreate, toRemove, toUpdate } from "./plan.js"
import type { Wanted, WantedAgent } from "./wanted.js"

/** What was done to one consumer. */
export interface ConsumerChange {
  readonly consumer: string
  readonly action: "created" | "updated" | "unchanged" | "removed"
}

const NOTHING_STANDS: Standing = { durables: new Map(), lastSeq: 0 }

/**
 * Makes the consumers of one agent's events what the routing table says; whoever may not make consumers is content with those
 * that are there.
 *
 * @throws MurmurError `CONSUMER_SETUP`, `NOT_DEPLOYED`
 */
export async function deployConsumers(bus: Bus, table: RouteTable, agent: Deployable): Promise<ConsumerChange[]> {
  const standing = bus.link.rights.restricted ? NOTHING_STANDS : await standingOf(bus)
  return bringAbout(bus, await durablesOfEvents(bus, table, agent, standing))
}

/** Makes the consumers of what is sent to one agent alone. @throws MurmurError `CONSUMER_SETUP`, `NOT_DEPLOYED` */
export async function deployInbox(bus: Bus, agent: Pick<Deployable, "name" | "partitions">): Promise<void> {
  const standing = bus.link.rights.restricted ? NOTHING_STANDS : await standingOf(bus)
  await bringAbout(bus, await durablesOfInbox(bus, agent, standing))
}

/** The consumers of all agents and sources. */
export async function planConsumers(bus: Bus, wanted: Wanted, found: Found): Promise<Stage> {
  const names = wanted.agents.map(({ agent }) => agent.name)
  const routes = combineRoutes(wanted.routes, found.routeRecords, [...names, ...(wanted.options.gone ?? [])])
  const table = RouteTable.from(routes)
  const changes: PlannedChange[] = []
  for (const agent of wanted.agents) {
    for (const durables of await durablesOf(bus, table, { agent, wanted, found }, found)) {
      changes.push(...changesOf(durables, found))
    }
  }
  if (wanted.options.ahead) {
    for (const { name } of wanted.sources) {
      changes.push(...changesOf({ wanted: [scheduleDurable(bus.names, name)], obsolete: [] }, found))
    }
  }
  return { changes, apply: () => applyConsumers(bus, wanted, found, changes) }
}

/** All that one agent is to have: of its events, its inbox, its timers. */
function durablesOf(
  bus: Bus,
  table: RouteTable,
  { agent, wanted, found }: { agent: WantedAgent; wanted: Wanted; found: Found },
  standing: Standing,
): Promise<Durables[]> {
  const { record } = agent
  const all = [durablesOfEvents(bus, table, record, standing)]
  if (hasInbox(agent, wanted, found)) all.push(durablesOfInbox(bus, record, standing))
  if (hasInbox(agent, wanted, found) && wanted.options.ahead) {
    all.push(Promise.resolve({ wanted: [wakeDurable(bus.names, record.name)], obsolete: [] }))
  }
  return Promise.all(all)
}

/** By the table and the consumers as they are then: somebody may have changed them since the plan was made. */
async function applyConsumers(
  bus: Bus,
  wanted: Wanted,
  found: Found,
  planned: readonly PlannedChange[],
): Promise<string[]> {
  const changed = new Set(planned.filter(isChange).map(({ name }) => name))
  const standing = await standingOf(bus)
  const names = wanted.agents.map(({ agent }) => agent.name)
  const records = await readRecords(await openBucket(bus, "routes"))
  const table = RouteTable.from(combineRoutes(wanted.routes, records, names))
  for (const agent of wanted.agents) {
    const { name } = agent.agent
    const owns = (durable: string): boolean => isOfEvents(name)(durable) || isOfInbox(name)(durable)
    const touched = [...changed].some((durable) => owns(durable) || durable === wakeDurable(bus.names, name).name)
    if (!touched) continue
    for (const durables of await durablesOf(bus, table, { agent, wanted, found }, standing)) {
      await bringAbout(bus, durables)
    }
  }
  for (const { name } of wanted.sources) {
    const durable = scheduleDurable(bus.names, name)
    if (changed.has(durable.name)) await ensureDurable(bus.link, durable)
  }
  return []
}

/** The new ones first: what was removed would not tell any more where it stood. */
async function bringAbout(bus: Bus, { wanted, obsolete }: Durables): Promise<ConsumerChange[]> {
  const changes: ConsumerChange[] = []
  for (const options of wanted) {
    changes.push({ consumer: options.name, action: await ensureDurable(bus.link, options) })
  }
  for (const { name, stream_name: stream } of obsolete) {
    await removeDurable(bus.link, stream, name)
    changes.push({ consumer: name, action: "removed" })
  }
  return changes
}

function changesOf({ wanted, obsolete }: Durables, { durables }: Standing): PlannedChange[] {
  const made = wanted.map((options) => {
    const found = durables.get(options.name)
    if (found !== undefined) return toUpdate("consumer", options.name, durableDifferences(found.config, options))
    const { from } = options
    const start = typeof from === "number" ? [{ setting: "from", found: undefined, wanted: from }] : []
    return toCreate("consumer", options.name, start)
  })
  return [...made, ...obsolete.map(({ name }) => toRemove("consumer", name))]
}

/** In this order: what is published meanwhile comes once more rather than never. */
async function standingOf(bus: Bus): Promise<Standing> {
  const lastSeq = (await streamInfo(bus.link.manager, bus.names.events))?.state.last_seq ?? 0
  return { lastSeq, durables: await listDurables(bus.link, bus.names.events) }
}
