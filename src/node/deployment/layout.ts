import type { Bus } from "../../bus/bus.js"
import { removeStream, streamNames } from "../../bus/stream-admin.js"
import { streamInfo } from "../../bus/streams.js"
import type { Found } from "./found.js"
import { type Stage, toRemove } from "./plan.js"
import type { Wanted } from "./wanted.js"

/**
 * A mesh that is to keep its sessions in the other way. Streams of both ways would take the same subjects, so the old ones go
 * first; that is refused as long as there is anything in them, or a node that uses them.
 */
export async function planLayout(
  bus: Bus,
  { options }: Wanted,
  { nodes }: Found,
): Promise<{ stage: Stage; refusals: string[] }> {
  const { names, link } = bus
  const old = (await streamNames(link, `${names.mesh}.>`)).filter((stream) => isOfOtherLayout(bus, stream))
  const held = await Promise.all(
    old.map(async (stream) => (await streamInfo(link.manager, stream))?.state.messages ?? 0),
  )
  const refusals: string[] = []
  const to = `Mesh "${names.mesh}" cannot be given the layout "${names.layout}"`
  if (held.some((messages) => messages > 0)) {
    refusals.push(
      `${to}: ${old.join(", ")} hold sessions or journals. Keep its layout, or deploy a mesh of another name`,
    )
  }
  if (old.length > 0 && nodes.length > 0) {
    refusals.push(
      `${to} while nodes run: ${nodes.map(({ id }) => id).join(", ")}. Stop them first ("murmur drain <node>")`,
    )
  }
  if (old.length > 0 && !options.ahead) {
    refusals.push(`${to}: it was deployed with the other one meanwhile. Start the node again`)
  }
  const apply = async (): Promise<string[]> => {
    for (const stream of old) await removeStream(link, stream)
    return []
  }
  return { stage: { changes: old.map((stream) => toRemove("stream", stream)), apply }, refusals }
}

function isOfOtherLayout({ names }: Bus, stream: string): boolean {
  const { mesh, layout } = names
  if (layout === "agent") return stream === `${mesh}_SESSIONS` || stream === `${mesh}_STEPS`
  return stream.startsWith(`${mesh}_SESSIONS_`) || stream.startsWith(`${mesh}_STEPS_`)
}
