import type { Bus } from "../../bus/bus.js"
import type { Difference } from "../../bus/streams.js"
import type { Route } from "../../router/route.js"
import { compareRoutes, declareRoutes, type RouteDifference } from "../../router/route-bucket.js"
import { openBucket } from "../buckets.js"
import { awaitNodes } from "../mesh-follow.js"
import type { Found } from "./found.js"
import { type PlannedChange, type Stage, toCreate, toRemove, toUpdate, unchanged } from "./plan.js"
import type { Wanted } from "./wanted.js"

/** How long nodes may take to follow, in milliseconds. */
const FOLLOW_MS = 5_000

/** The routes that the code of the agents declares. Nodes know them before the consumers let events through. */
export async function planRoutes(bus: Bus, { agents, routes, options }: Wanted, found: Found): Promise<Stage> {
  const names = [...agents.map(({ agent }) => agent.name), ...(options.gone ?? [])]
  const different = new Map((await compareRoutes(found.routes, names, routes)).map((one) => [one.id, one]))
  const changes = [
    ...routes.filter(({ id }) => !different.has(id)).map(({ id }) => unchanged("route", id)),
    ...[...different.values()].map(changeOf),
  ]
  const apply = async (signal: AbortSignal): Promise<string[]> => {
    await declareRoutes(await openBucket(bus, "routes"), names, routes)
    return options.ahead ? lateNodes(bus, signal) : []
  }
  return { changes, apply }
}

function changeOf({ id, found, wanted }: RouteDifference): PlannedChange {
  if (wanted === undefined) return toRemove("route", id)
  if (found === undefined) return toCreate("route", id)
  const differences = (["filter", "priority", "exclusive", "pattern"] as const satisfies readonly (keyof Route)[])
    .filter((setting) => JSON.stringify(found[setting]) !== JSON.stringify(wanted[setting]))
    .map((setting): Difference => ({ setting, found: found[setting], wanted: wanted[setting] }))
  return toUpdate("route", id, differences)
}

/** Nodes that have not heard of the newest change of the table in time. */
async function lateNodes(bus: Bus, signal: AbortSignal): Promise<string[]> {
  const [routes, presence] = await Promise.all([openBucket(bus, "routes"), openBucket(bus, "presence")])
  let newest = 0
  for await (const { revision } of routes.entries()) newest = Math.max(newest, revision)
  if (signal.aborted) return []
  const behind = await awaitNodes(presence, ({ routesRevision }) => routesRevision >= newest, FOLLOW_MS)
  return behind.map(
    (id) => `Node "${id}" has not followed the routes within ${FOLLOW_MS / 1_000} s; until it does it may skip events`,
  )
}
