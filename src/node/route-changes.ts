import type { Bus } from "../bus/bus.js"
import { MurmurError } from "../errors.js"
import { checkRoute } from "../router/check.js"
import { closest } from "../router/closest.js"
import { LiveRoutes } from "../router/live.js"
import type { Pattern } from "../router/pattern.js"
import { liveRoute, type Route, type RouteInput } from "../router/route.js"
import { addRoute, removeRoute } from "../router/route-bucket.js"
import type { RouteTable } from "../router/table.js"
import { CatalogueRecord, type MeshBuckets, openBuckets, readAll } from "./buckets.js"
import { deployConsumers } from "./deployment/consumers.js"
import { awaitNodes } from "./mesh-follow.js"

/** How long nodes may take to follow a change, in milliseconds. A node follows in a few; more means it is in trouble. */
const FOLLOW_MS = 5_000

/** A route that was added or removed. */
export interface RouteChange {
  readonly route: Route
  /** What is allowed and is probably a mistake; also nodes that did not follow in time. */
  readonly warnings: readonly string[]
}

/**
 * Adds a route to the running mesh. When it returns, events that are published from then on reach the agent.
 *
 * The order matters: first every node knows the route, then the agent's consumer lets its events through. The other way
 * round a node would skip, and ack, an event of a route that it has not heard of.
 *
 * @throws MurmurError as `checkRoute`; `ROUTE_PATTERN`, `ROUTE_FILTER`, `ROUTE_INVALID`
 */
export async function addLiveRoute(bus: Bus, input: RouteInput, signal: AbortSignal): Promise<RouteChange> {
  const asked = liveRoute(input)
  return changeRoutes(bus, signal, async ({ buckets, catalogue, routes }) => {
    const types = catalogue.flatMap(({ events }) => events.map(({ type }) => type))
    const agents = catalogue
      .filter(({ kind }) => kind === "agent")
      .map(({ name, on }) => ({ name, on: on as Pattern[] }))
    const warnings = checkRoute(routes.table, asked, { agents, ...(types.length > 0 && { types }) })
    const route = await addRoute(buckets.routes, asked)
    return { route, warnings, done: (table) => table.get(route.id) !== undefined }
  })
}

/**
 * Removes a route from the running mesh, live ones and those of code.
 *
 * @throws MurmurError `ROUTE_UNKNOWN` with the ids that are close
 */
export async function removeLiveRoute(bus: Bus, id: string, signal: AbortSignal): Promise<RouteChange> {
  return changeRoutes(bus, signal, async ({ buckets, routes }) => {
    const route = routes.table.get(id)
    if (route === undefined) throw unknownRoute(id, routes.table)
    await removeRoute(buckets.routes, id)
    return { route, warnings: [], done: (table) => table.get(id) === undefined }
  })
}

interface Mesh {
  readonly buckets: MeshBuckets
  readonly catalogue: readonly CatalogueRecord[]
  readonly routes: LiveRoutes
}

interface Written extends RouteChange {
  /** Whether the table shows the change. */
  done(table: RouteTable): boolean
}

async function changeRoutes(
  bus: Bus,
  signal: AbortSignal,
  write: (mesh: Mesh) => Promise<Written>,
): Promise<RouteChange> {
  const buckets = await openBuckets(bus)
  const catalogue = await readAll(buckets.catalogue, CatalogueRecord)
  const following = new AbortController()
  let changed = (): void => {}
  const routes = await LiveRoutes.open(buckets.routes, [], {
    signal: AbortSignal.any([signal, following.signal]),
    onChange: () => changed(),
  })
  try {
    const { route, warnings, done } = await write({ buckets, catalogue, routes })
    await new Promise<void>((resolve) => {
      changed = () => done(routes.table) && resolve()
      changed()
      signal.addEventListener("abort", () => resolve(), { once: true })
    })
    const { revision } = routes
    const behind = await awaitNodes(buckets.presence, (node) => node.routesRevision >= revision, FOLLOW_MS)
    const agent = catalogue.find(({ kind, name }) => kind === "agent" && name === route.agent)
    if (agent !== undefined) await deployNewest(bus, routes, agent)
    return { route, warnings: [...warnings, ...behind.map(lateNode)] }
  } finally {
    following.abort()
  }
}

/** Somebody may change the table meanwhile, and deploy before us: the last deployment must be the newest table's. */
async function deployNewest(bus: Bus, routes: LiveRoutes, agent: CatalogueRecord): Promise<void> {
  for (let deployed: string | undefined; ; ) {
    const { table } = routes
    const wanted = table.coverOf(agent.name).join(" ")
    if (wanted === deployed) return
    await deployConsumers(bus, table, agent)
    deployed = wanted
  }
}

const lateNode = (id: string): string =>
  `Node "${id}" has not followed the change within ${FOLLOW_MS / 1_000} s; until it does it may skip events of the route`

function unknownRoute(id: string, table: RouteTable): MurmurError {
  const close = closest(
    id,
    table.routes.map((route) => route.id),
  )
  const hint = close.length > 0 ? `; close to it: ${close.map((name) => `"${name}"`).join(", ")}` : ""
  return new MurmurError(`Cannot remove route "${id}": the table has none of this id (see "murmur routes")${hint}`, {
    code: "ROUTE_UNKNOWN",
    details: { route: id, close },
  })
}
