import { openBus } from "../bus/bus.js"
import { addLiveRoute } from "../node/route-changes.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { warn } from "./output.js"
import { routeJson } from "./routes.js"

/** Options of `murmur route add`. */
export interface RouteAddOptions {
  to: string
  filter?: unknown
  exclusive?: boolean
  priority?: number
}

/** `murmur route add <pattern> --to <agent>`: when it returns, what is published from then on reaches the agent. */
export async function routeAdd(cli: Cli, [pattern]: [string], options: RouteAddOptions): Promise<void> {
  const { to: agent, filter, exclusive, priority } = options
  const input = { pattern, agent, filter, exclusive, priority }
  const add = (bus: Awaited<ReturnType<typeof openBus>>, signal: AbortSignal) => addLiveRoute(bus, input, signal)
  const { route, warnings } = await withMesh(cli.options, add, { open: openBus })
  for (const warning of warnings) warn(`warning: ${warning}`)
  if (cli.options.json) return cli.out.json(routeJson(route))
  await cli.out.line(route.id)
}
