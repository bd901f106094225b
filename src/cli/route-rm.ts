import { type Bus, openBus } from "../bus/bus.js"
import { removeLiveRoute } from "../node/route-changes.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { warn } from "./output.js"
import { routeJson } from "./routes.js"

/** `murmur route rm <id>`. */
export async function routeRm(cli: Cli, [id]: [string]): Promise<void> {
  const remove = (bus: Bus, signal: AbortSignal) => removeLiveRoute(bus, id, signal)
  const { route, warnings } = await withMesh(cli.options, remove, { open: openBus })
  for (const warning of warnings) warn(`warning: ${warning}`)
  if (cli.options.json) return cli.out.json(routeJson(route))
  await cli.out.line(route.id)
}
