import { eventViews, readMesh } from "../node/mesh-view.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"

/** `murmur events`: the catalogue of event types. */
export async function events(cli: Cli): Promise<void> {
  const views = await withMesh(cli.options, async (bus) => eventViews(await readMesh(bus)))
  if (cli.options.json) return cli.out.json(views)
  await cli.out.table(
    ["type", "emitted by", "reacted by", "description"],
    views.map(({ type, emittedBy, reactedBy, description }) => [
      type,
      emittedBy.join(",") || "-",
      reactedBy.join(",") || "-",
      description ?? "",
    ]),
  )
}
