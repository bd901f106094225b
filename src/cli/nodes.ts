import { type NodeView, nodeViews, readMesh } from "../node/mesh-view.js"
import { labelText } from "../router/labels.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { duration } from "./text.js"

/** `murmur nodes`: the nodes that are alive. */
export async function nodes(cli: Cli): Promise<void> {
  const views = await withMesh(cli.options, async (bus) => nodeViews(await readMesh(bus)))
  if (cli.options.json) return cli.out.json(views)
  const asking = views.some(({ providers }) => providers.some(isAsked))
  await cli.out.table(
    [...COLUMNS, ...(asking ? ["models"] : [])],
    views.map((view) => [
      ...row(view),
      ...(asking ? [view.providers.filter(isAsked).map(providerText).join(", ") || "-"] : []),
    ]),
  )
}

const COLUMNS = ["id", "state", "host", "version", "code", "labels", "since", "agents", "sources", "http"]

function row(view: NodeView): string[] {
  const { id, draining, host, version, codeVersion, labels, since, agents, partitions, sources, http } = view
  const hosted = agents.map((name) => {
    const { of, owned = [] } = partitions[name] ?? {}
    return of === undefined ? name : `${name} ${owned.length}/${of}`
  })
  return [
    id,
    draining ? "draining" : "running",
    host,
    version,
    codeVersion ?? "-",
    labelText(labels) || "-",
    since,
    hosted.join(", ") || "-",
    sources.join(", ") || "-",
    http ?? "-",
  ]
}

type Provider = NodeView["providers"][number]

function isAsked({ calls, running, waiting, circuit }: Provider): boolean {
  return calls + running + waiting > 0 || circuit !== "closed"
}

/** How a provider stands, for people: `openai ok`, `openai left alone for 25.0 s, 12 wait`. */
export function providerText({ provider, circuit, untilMs = 0, waiting }: Provider): string {
  const leftMs = untilMs - Date.now()
  const time = leftMs > 0 ? ` for ${duration(leftMs)}` : ""
  const paused = circuit === "open" ? "left alone" : "asked to wait"
  const how = circuit === "half-open" ? "is tried" : circuit === "open" || leftMs > 0 ? `${paused}${time}` : "ok"
  return `${provider} ${how}${waiting > 0 ? `, ${waiting} wait` : ""}`
}
