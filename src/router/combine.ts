import type { LocalRoute } from "./route.js"
import { type RouteRecord, recordId } from "./route-bucket.js"

/**
 * The routes of a mesh as whoever has the code of some agents knows them: for these agents the code counts rather than what is
 * written about them, since only the code has the predicates. Without what was switched off.
 *
 * @param agents whose code it is; default: those that it has routes of
 */
export function combineRoutes(
  code: readonly LocalRoute[],
  records: Iterable<RouteRecord>,
  agents: Iterable<string> = code.map(({ agent }) => agent),
): Iterable<LocalRoute> {
  const owned = new Set(agents)
  const off: string[] = []
  const routes = new Map<string, LocalRoute>()
  for (const record of records) {
    if (record.kind === "disabled") off.push(recordId(record))
    else if (record.route.origin === "live" || !owned.has(record.route.agent)) routes.set(record.route.id, record.route)
  }
  for (const route of code) routes.set(route.id, route)
  for (const id of off) routes.delete(id)
  return routes.values()
}
