import { nodeViews, readMesh } from "../node/mesh-view.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"

/** `murmur nodes`: the nodes that are alive. */
export async function nodes(cli: Cli): Promise<void> {
  const views = await withMesh(cli.options, async (bus) => nodeViews(await readMesh(bus)))
  if (cli.options.json) return cli.out.json(views)
  await cli.out.table(
    ["id", "state", "host", "version", "since", "agents", "sources", "http"],
    views.map(({ id, draining, host, version, since, agents, sources, http }) => [
      id,
      draining ? "draining" : "running",
      host,
      version,
      since,
      agents.join(",") || "-",
      sources.join(",") || "-",
      http ?? "-",
    ]),
  )
}
