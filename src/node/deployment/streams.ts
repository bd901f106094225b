import type { Bus } from "../../bus/bus.js"
import { FIXED_SETTINGS } from "../../bus/streams.js"
import { type Stage, toCreate, toUpdate } from "./plan.js"
import type { Wanted } from "./wanted.js"

/** The streams of a mesh, and what of them cannot be put right. */
export async function planStreams(
  bus: Bus,
  { agents, options }: Wanted,
): Promise<{ stage: Stage; refusals: string[] }> {
  const wanted = { ...options.retention, agents: agents.map(({ agent }) => agent.name) }
  const compared = await bus.compareStreams(wanted)
  const refusals = compared.flatMap(({ stream, differences }) =>
    differences
      .filter(({ setting }) => FIXED_SETTINGS.includes(setting))
      .map(
        ({ setting, found, wanted: needed }) =>
          `${setting} of stream ${stream} is ${JSON.stringify(found)} and must be ${JSON.stringify(needed)}, which the server changes of no stream: back it up and remove it (nats stream backup, nats stream rm), then deploy again`,
      ),
  )
  const changes = compared.map(({ stream, action, differences }) =>
    action === "create" ? toCreate("stream", stream) : toUpdate("stream", stream, differences),
  )
  const apply = async (): Promise<string[]> => {
    await bus.ensureStreams(wanted)
    return []
  }
  return { stage: { changes, apply }, refusals }
}
