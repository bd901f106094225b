import { MurmurError } from "../errors.js"
import { closest } from "./closest.js"
import { areDisjoint, whyDead } from "./logic.js"
import { covers, matches, overlaps, type Pattern } from "./pattern.js"
import { isInboxPattern } from "./reserved.js"
import { checkLocalRoute, codeRouteId, type LocalRoute, type Route } from "./route.js"
import type { RouteTable } from "./table.js"

/** What the mesh knows, to hold a new route against. */
export interface KnownMesh {
  readonly agents: readonly {
    readonly name: string
    /** The patterns that its definition reacts to. Empty when unknown. */
    readonly on: readonly Pattern[]
  }[]
  /** Event types of the catalogue, when there is one. */
  readonly types?: readonly string[] | undefined
}

/**
 * Decides whether a route may be added to a table.
 *
 * @returns warnings: sentences on what is allowed and is probably a mistake
 * @throws MurmurError `ROUTE_AGENT` unknown agent, `ROUTE_DEAD` no event can ever take it, `ROUTE_DUPLICATE` the table
 * has it, `ROUTE_CONFLICT` it is not decided which of two exclusive routes wins, `ROUTE_EXCLUSIVE` exclusive with a predicate
 */
export function checkRoute(table: RouteTable, route: LocalRoute, known: KnownMesh): string[] {
  checkLocalRoute(route)
  const on = agentPatterns(route, known)
  refuseDead(route)
  refuseDuplicate(table, route)
  const others = table.routes
  refuseConflict(others, route)
  return [...typeWarnings(route, known.types), ...agentWarnings(route, on), ...overlapWarnings(others, route)]
}

function refuse(route: Route, code: string, reason: string, details: Record<string, unknown> = {}): MurmurError {
  return new MurmurError(`Cannot add the route "${route.pattern}" to agent "${route.agent}": ${reason}`, {
    code,
    details: { route: route.id, ...details },
  })
}

function agentPatterns(route: Route, { agents }: KnownMesh): readonly Pattern[] {
  const agent = agents.find(({ name }) => name === route.agent)
  if (agent !== undefined) return agent.on
  const names = agents.map(({ name }) => name)
  const close = closest(route.agent, names)
  const hint =
    close.length > 0 ? `did you mean ${quoted(close)}?` : `known agents: ${quoted(names.slice(0, 10)) || "none"}`
  throw refuse(route, "ROUTE_AGENT", `no agent has this name; ${hint}`, { agent: route.agent, close })
}

function refuseDead(route: Route): void {
  const reason = isInboxPattern(route.pattern)
    ? "events of these types go to an agent's inbox and are never routed"
    : whyDead(route)
  if (reason !== undefined) throw refuse(route, "ROUTE_DEAD", `no event can ever take it: ${reason}`, { reason })
}

function refuseDuplicate(table: RouteTable, route: Route): void {
  const twin = table.routes.find(
    (other) => other.id === route.id || (isSameWay(other, route) && other.predicate === undefined),
  )
  if (twin === undefined) return
  const differs = twin.priority !== route.priority || twin.exclusive !== route.exclusive
  const reason = differs ? "exists with another priority or exclusiveness; remove that one first" : "exists already"
  throw refuse(route, "ROUTE_DUPLICATE", `route "${twin.id}" ${reason}`, { duplicate: twin.id })
}

/** Whether both bring the same events to the same agent, as far as travels. */
function isSameWay(a: Route, b: Route): boolean {
  return codeRouteId(a.agent, a.pattern, a.filter) === codeRouteId(b.agent, b.pattern, b.filter)
}

function refuseConflict(others: readonly Route[], route: Route): void {
  if (!route.exclusive) return
  const rival = others.find(
    (other) =>
      other.exclusive &&
      other.priority === route.priority &&
      overlaps(other.pattern, route.pattern) &&
      !areDisjoint(other, route),
  )
  if (rival === undefined) return
  const both = `exclusive route "${rival.id}" ("${rival.pattern}" to agent "${rival.agent}") has the same priority ${rival.priority}, and an event may fit both`
  const way = "Give one of them another priority, or filters on attributes that cannot both be true"
  const data =
    rival.filter !== undefined && route.filter !== undefined ? " (two queries on data may both be true of a list)" : ""
  throw refuse(route, "ROUTE_CONFLICT", `${both}. ${way}${data}`, { conflict: rival.id })
}

function typeWarnings(route: Route, types: readonly string[] | undefined): string[] {
  if (types === undefined || types.some((type) => matches(route.pattern, type))) return []
  const close = closest(route.pattern, types)
  const hint = close.length > 0 ? ` (close to it: ${quoted(close)})` : ""
  return [`No known event type fits "${route.pattern}"${hint}`]
}

function agentWarnings(route: Route, on: readonly Pattern[]): string[] {
  if (on.length === 0 || on.some((pattern) => overlaps(pattern, route.pattern))) return []
  return [
    `Agent "${route.agent}" does not declare events that fit "${route.pattern}": it reacts to ${quoted(on)}, so it has no schema for them and may not know what to do`,
  ]
}

function overlapWarnings(others: readonly LocalRoute[], route: Route): string[] {
  const wider = others.find(
    (other) =>
      other.agent === route.agent &&
      !other.exclusive &&
      other.filter === undefined &&
      other.predicate === undefined &&
      covers(other.pattern, route.pattern),
  )
  return wider === undefined ? [] : [`Agent "${route.agent}" gets all of these events already, by route "${wider.id}"`]
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ")
}
