import { z } from "zod"
import type { MurmurEvent } from "../bus/event.js"
import { checkName } from "../bus/subjects.js"
import { ensureError, MurmurError } from "../errors.js"
import { canonical, shortHash } from "./canonical.js"
import { type Filter, filterSchema, parseFilter } from "./filter.js"
import { type Pattern, parsePattern } from "./pattern.js"

/** One line of the routing table: events of these types, when the filter accepts them, concern this agent. Plain JSON. */
export interface Route {
  /** Stable: the same pattern, agent and filter always have the same id. */
  readonly id: string
  readonly pattern: Pattern
  readonly agent: string
  readonly filter?: Filter | undefined
  /** Among exclusive routes the highest one that matches wins; ties go to the lower id. -1,000 to 1,000, default 0. */
  readonly priority: number
  /** Exclusive routes compete with each other: of all that match an event, one delivers. Others are not affected. */
  readonly exclusive: boolean
  /** `code`: declared by the agent's definition. `live`: added to the running mesh. */
  readonly origin: "code" | "live"
}

/** A route in the table of the node that hosts its agent, where a predicate in code may narrow it further. */
export interface LocalRoute extends Route {
  /** Evaluated after the filter, on this node only. Never part of the record that travels. */
  readonly predicate?: ((event: MurmurEvent) => boolean) | undefined
}

/** What makes a route; the rest has defaults. */
export interface RouteInput {
  readonly pattern: string
  readonly agent: string
  /** Checked and copied. */
  readonly filter?: unknown
  readonly priority?: number | undefined
  readonly exclusive?: boolean | undefined
}

const PRIORITY_MAX = 1_000

const agentName = z.string().transform((name, context) => {
  try {
    return checkName(name, "agent")
  } catch (error) {
    context.addIssue({ code: "custom", message: ensureError(error).message })
    return z.NEVER
  }
})

const pattern = z.string().transform((text, context): Pattern => {
  try {
    return parsePattern(text)
  } catch (error) {
    context.addIssue({ code: "custom", message: ensureError(error).message })
    return z.NEVER
  }
})

/** The travelling form of a route. Unknown names are refused. */
export const routeSchema: z.ZodType<Route> = z.strictObject({
  id: z.string().min(1).max(300),
  pattern,
  agent: agentName,
  filter: filterSchema.optional(),
  priority: z.int().min(-PRIORITY_MAX).max(PRIORITY_MAX).default(0),
  exclusive: z.boolean().default(false),
  origin: z.enum(["code", "live"]),
})

/**
 * A route that an agent's definition declares. Its id is readable: `<agent>/<pattern>`, with a short hash of the filter
 * behind it when there is one.
 *
 * @throws MurmurError `ROUTE_PATTERN`, `ROUTE_FILTER` or `ROUTE_INVALID`; `ROUTE_EXCLUSIVE` for an exclusive route with a
 * predicate: every node must be able to decide who gets an event, and only the agent's node has the predicate
 */
export function codeRoute(input: RouteInput & Pick<LocalRoute, "predicate">): LocalRoute {
  const { predicate, ...rest } = input
  const route = makeRoute(rest, "code")
  return checkLocalRoute(predicate === undefined ? route : { ...route, predicate })
}

/**
 * A route to add to the running mesh. Its id is a short hash of agent, pattern and filter, so adding it twice is one route.
 *
 * @throws MurmurError `ROUTE_PATTERN`, `ROUTE_FILTER` or `ROUTE_INVALID`
 */
export function liveRoute(input: RouteInput): Route {
  return makeRoute(input, "live")
}

function makeRoute(input: RouteInput, origin: Route["origin"]): Route {
  parsePattern(input.pattern)
  const filter = input.filter === undefined ? undefined : parseFilter(input.filter)
  const id = (origin === "code" ? codeRouteId : liveRouteId)(input.agent, input.pattern, filter)
  return parseRoute({ ...input, filter, id, origin })
}

/** The id of the code route with this agent, pattern and filter, whether or not there is one. */
export function codeRouteId(agent: string, pattern: string, filter: Filter | undefined): string {
  return filter === undefined ? `${agent}/${pattern}` : `${agent}/${pattern}/${shortHash(filter)}`
}

/** Whether a route of this id is declared in code. Ids of live routes hold no "/". */
export function isCodeId(id: string): boolean {
  return id.includes("/")
}

/** The id of the live route with this agent, pattern and filter, whether or not there is one. */
export function liveRouteId(agent: string, pattern: string, filter: Filter | undefined): string {
  return `r${shortHash([agent, pattern, filter ?? null])}`
}

/**
 * Reads a route that came from elsewhere.
 *
 * @throws MurmurError `ROUTE_INVALID` with the issues
 */
export function parseRoute(value: unknown): Route {
  const checked = routeSchema.safeParse(value)
  if (checked.success) return withoutEmpty(checked.data)
  const issues = checked.error.issues.map(({ path, message }) => ({ path: path.join("."), message }))
  const reasons = issues.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`)).join("; ")
  throw new MurmurError(`Cannot read the route: ${reasons}`, { code: "ROUTE_INVALID", details: { issues } })
}

/** Names without a value are left out, so that a route and its JSON form are equal. */
function withoutEmpty(route: Route): Route {
  const { filter, ...rest } = route
  return filter === undefined ? rest : route
}

/** @throws MurmurError `ROUTE_EXCLUSIVE` */
export function checkLocalRoute(route: LocalRoute): LocalRoute {
  if (!route.exclusive || route.predicate === undefined) return route
  throw new MurmurError(
    `Cannot make route "${route.id}" exclusive: it has a predicate in code, which only the node of agent "${route.agent}" could evaluate. Use a JSON filter, which travels`,
    { code: "ROUTE_EXCLUSIVE", details: { route: route.id } },
  )
}

/**
 * Joins routes of one id, as when an agent names the same event twice with different predicates: an event concerns the
 * agent when one of the predicates accepts it, and always when one route has none.
 *
 * @throws MurmurError `ROUTE_EXCLUSIVE` when only some of them are exclusive
 */
export function mergeRoutes(routes: Iterable<LocalRoute>): LocalRoute[] {
  const merged = new Map<string, LocalRoute>()
  for (const route of routes) {
    const twin = merged.get(route.id)
    merged.set(route.id, twin === undefined ? route : mergeTwo(twin, route))
  }
  return [...merged.values()]
}

function mergeTwo(a: LocalRoute, b: LocalRoute): LocalRoute {
  if (a.exclusive !== b.exclusive) {
    throw new MurmurError(`Cannot make route "${a.id}": it is declared twice, once exclusive and once not`, {
      code: "ROUTE_EXCLUSIVE",
      details: { route: a.id },
    })
  }
  const { predicate: first, ...route } = a
  const second = b.predicate
  const joined = { ...route, priority: Math.max(a.priority, b.priority) }
  if (first === undefined || second === undefined) return joined
  return { ...joined, predicate: (event) => first(event) || second(event) }
}

/** The travelling part of a route: what may be stored, listed and compared. */
export function travelling(route: LocalRoute): Route {
  const { predicate: _stays, ...rest } = route
  return rest
}

/** Whether two routes are the same in all that travels. */
export function sameRoute(a: Route, b: Route): boolean {
  return canonical(travelling(a)) === canonical(travelling(b))
}

/** The order in which routes win and are listed: highest priority first, then by id. */
export function byPrecedence(a: Route, b: Route): number {
  return b.priority - a.priority || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}
