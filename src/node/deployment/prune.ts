import type { Bus } from "../../bus/bus.js"
import { removeDurable } from "../../bus/consumers.js"
import { scheduleDurable } from "../../bus/schedules.js"
import { purgeSubjects, removeStream } from "../../bus/stream-admin.js"
import { streamInfo } from "../../bus/streams.js"
import { wakeDurable } from "../../bus/timers.js"
import { type RouteRecord, recordId, routeKey } from "../../router/route-bucket.js"
import { type CatalogueRecord, openBucket } from "../buckets.js"
import { pauseKey, wakeKey } from "../mesh-view.js"
import { isOfEvents, isOfInbox } from "./durables.js"
import type { Found } from "./found.js"
import { inboxKey } from "./inboxes.js"
import { type PlannedChange, type Stage, toRemove } from "./plan.js"
import type { Wanted } from "./wanted.js"

/** Something of an agent or source whose code is gone. */
interface Leftover {
  readonly change: PlannedChange
  remove(): Promise<unknown>
}

/** What agents and sources have that are not deployed any more. Sessions stay, unless their removal is asked for. */
export async function planPrune(bus: Bus, wanted: Wanted, found: Found): Promise<{ stage: Stage; refusals: string[] }> {
  const { agents, sources, options } = wanted
  if (!options.prune) return { stage: { changes: [], apply: async () => [] }, refusals: [] }
  const stay = new Set([
    ...agents.map(({ agent }) => agent.name),
    ...sources.map(({ name }) => name),
    ...(options.keep ?? []),
  ])
  const gone = found.records.filter(({ name }) => !stay.has(name))
  const leftovers = (await Promise.all(gone.map((record) => leftoversOf(bus, record, { wanted, found })))).flat()
  const apply = async (): Promise<string[]> => {
    for (const { remove } of leftovers) await remove()
    return []
  }
  return {
    stage: { changes: leftovers.map(({ change }) => change), apply },
    refusals: gone.flatMap((record) => hosted(record, found)),
  }
}

/** Consumers first: nothing more comes; the record last: if this breaks off, the next time goes on. */
async function leftoversOf(
  bus: Bus,
  record: CatalogueRecord,
  { wanted, found }: { wanted: Wanted; found: Found },
): Promise<Leftover[]> {
  const { kind, name } = record
  const consumers = consumersOf(bus, record, found)
  const routes = kind === "agent" ? routesOf(bus, name, found.routeRecords) : []
  const settings = kind === "agent" ? settingsOf(bus, name, found) : []
  const logs = kind === "agent" && wanted.options.pruneSessions ? await logsOf(bus, name) : []
  const own = {
    change: toRemove("record", `${kind}.${name}`),
    remove: async () => (await openBucket(bus, "catalogue")).delete(`${kind}.${name}`),
  }
  return [...consumers, ...routes, ...settings, ...logs, own]
}

function consumersOf(bus: Bus, { kind, name }: CatalogueRecord, { durables }: Found): Leftover[] {
  const timers = kind === "agent" ? wakeDurable(bus.names, name).name : scheduleDurable(bus.names, name).name
  const isOfAgent = (durable: string): boolean =>
    kind === "agent" && (isOfEvents(name)(durable) || isOfInbox(name)(durable))
  return [...durables.values()]
    .filter((durable) => durable.name === timers || isOfAgent(durable.name))
    .map(({ name: durable, stream_name: stream }) => ({
      change: toRemove("consumer", durable),
      remove: () => removeDurable(bus.link, stream, durable),
    }))
}

function routesOf(bus: Bus, agent: string, records: readonly RouteRecord[]): Leftover[] {
  const isOfAgent = (record: RouteRecord): boolean =>
    record.kind === "route" ? record.route.agent === agent : record.id.startsWith(`${agent}/`)
  return records.filter(isOfAgent).map((record) => ({
    change: toRemove("route", recordId(record)),
    remove: async () => (await openBucket(bus, "routes")).delete(routeKey(recordId(record))),
  }))
}

function settingsOf(bus: Bus, agent: string, { settings }: Found): Leftover[] {
  return [inboxKey(agent), pauseKey(agent), wakeKey(agent)]
    .filter((key) => settings.has(key))
    .map((key) => ({
      change: toRemove("setting", key),
      remove: async () => (await openBucket(bus, "settings")).delete(key),
    }))
}

/** The sessions and journals of an agent: streams of its own, or its part of those of all. */
async function logsOf(bus: Bus, agent: string): Promise<Leftover[]> {
  const { names, link } = bus
  const logs = [
    { stream: names.sessionsOf(agent), subjects: `${names.mesh}.ses.${agent}.>` },
    { stream: names.stepsOf(agent), subjects: `${names.mesh}.step.${agent}.>` },
  ]
  const leftovers = await Promise.all(
    logs.map(async ({ stream, subjects }): Promise<Leftover[]> => {
      if ((await streamInfo(link.manager, stream)) === undefined) return []
      return names.layout === "agent"
        ? [{ change: toRemove("stream", stream), remove: () => removeStream(link, stream) }]
        : [
            {
              change: toRemove("stream", `${stream} (${subjects})`),
              remove: () => purgeSubjects(link, stream, subjects),
            },
          ]
    }),
  )
  return leftovers.flat()
}

function hosted({ kind, name }: CatalogueRecord, { nodes }: Found): string[] {
  const where = nodes
    .filter((node) => (kind === "agent" ? node.agents : node.sources).some((one) => one.name === name))
    .map(({ id }) => id)
  if (where.length === 0) return []
  return [
    `The ${kind} "${name}" cannot be removed: ${where.join(", ")} still host${where.length === 1 ? "s" : ""} it. Stop or replace these nodes first, or name its file as well`,
  ]
}
