import { readMesh } from "../node/mesh-view.js"
import type { Route } from "../router/route.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"

/** `murmur routes`: the routing table, in order of precedence. */
export async function routes(cli: Cli): Promise<void> {
  const { table } = await withMesh(cli.options, readMesh)
  if (cli.options.json) return cli.out.json(table.routes.map(routeJson))
  await cli.out.table(
    ["id", "pattern", "agent", "filter", "origin", "exclusive", "priority"],
    table.routes.map(({ id, pattern, agent, filter, origin, exclusive, priority }) => [
      id,
      pattern,
      agent,
      filter === undefined ? "-" : JSON.stringify(filter),
      origin,
      exclusive ? "exclusive" : "-",
      priority,
    ]),
  )
}

/** A route as scripts get it. */
export function routeJson({ id, pattern, agent, filter, origin, exclusive, priority }: Route) {
  return { id, pattern, agent, filter: filter ?? null, origin, exclusive, priority }
}
