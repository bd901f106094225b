import { eventDurables } from "../../agents/host.js"
import type { Bus } from "../../bus/bus.js"
import { firstOf } from "../../bus/stream-admin.js"
import { isOfEvents } from "./durables.js"
import type { Found } from "./found.js"
import type { Wanted, WantedAgent } from "./wanted.js"

/** The consumers that an agent has under another partitioning or ordering. */
function outgrown({ record }: WantedAgent, { durables }: Found): { name: string; waiting: number }[] {
  const wanted = eventDurables(record)
  return [...durables.values()]
    .filter(({ name }) => isOfEvents(record.name)(name) && !wanted.includes(name))
    .map(({ name, num_pending, num_ack_pending }) => ({ name, waiting: num_pending + num_ack_pending }))
}

/** A pipeline keeps its windows by partition: with others it would not find them. */
export async function refusedPartitions(bus: Bus, { agents }: Wanted, found: Found): Promise<string[]> {
  const refusals: string[] = []
  for (const agent of agents) {
    const { name, behaviour, partitions } = agent.agent
    if (behaviour.kind !== "react" || outgrown(agent, found).length === 0) continue
    const stream = bus.names.sessionsOf(name)
    const subjects = `${bus.names.mesh}.ses.${name}._windows.>`
    if ((await firstOf(bus.link, stream, subjects)) === undefined) continue
    const before = found.records.find((record) => record.name === name)?.partitions ?? "other"
    refusals.push(
      `The agent "${name}" cannot go from ${before} to ${partitions} partitions: its pipeline keeps its windows by partition. Give it another name, or forget its windows (nats stream purge ${stream} --subject '${subjects}')`,
    )
  }
  return refusals
}

/** With fewer partitions all go on where the slowest stood: what the others have done since comes once more. */
export function hastyPartitions({ agents }: Wanted, found: Found): string[] {
  return agents.flatMap((agent) => {
    const { name, partitions } = agent.record
    const before = found.records.find((record) => record.kind === "agent" && record.name === name)?.partitions ?? 1
    const waiting = outgrown(agent, found).reduce((sum, one) => sum + one.waiting, 0)
    if (before <= partitions || waiting === 0) return []
    return [
      `The agent "${name}" goes from ${before} to ${partitions} partitions while ${waiting} of its events wait: what other partitions have done behind the first of them would come once more. Wait until they are done ("murmur agents ${name}" shows the lag), then deploy again`,
    ]
  })
}

/** Nodes with other code of an agent whose routes or partitions change. */
export function olderNodes({ agents, routes }: Wanted, found: Found): string[] {
  return agents.flatMap(({ agent: { name, code, partitions } }) => {
    const known = new Set(found.routeRecords.flatMap((record) => (record.kind === "route" ? [record.route.id] : [])))
    const added = routes.filter((route) => route.agent === name && !known.has(route.id)).map(({ pattern }) => pattern)
    return found.nodes.flatMap(({ id, agents: hosted }) => {
      const there = hosted.find((one) => one.name === name)
      if (there === undefined || there.code === code) return []
      if (there.partitions !== partitions) {
        return [
          `Node "${id}" runs "${name}" with ${there.partitions} partitions: it takes nothing more of it until it is replaced by one with this code`,
        ]
      }
      if (added.length === 0) return []
      return [
        `Node "${id}" runs other code of "${name}": until it is replaced it skips events of ${added.join(", ")}. To miss none: murmur pause ${name}, deploy, replace the nodes, murmur resume ${name}`,
      ]
    })
  })
}
