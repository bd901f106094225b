import { eventDurables } from "../agents/host.js"
import { durableInfo } from "../bus/consumers.js"
import type { Observe } from "../telemetry/ports.js"
import type { MurmurNode } from "./node.js"

const LAG_EVERY_MS = 5_000

/**
 * Registers what a node shows about itself: sessions, work in hand, lag, connection.
 *
 * @returns ends it
 */
export function registerGauges(node: MurmurNode, observe: Observe): () => void {
  const lag = new Map<string, number>()
  const timer = setInterval(() => void measureLag(node, lag), LAG_EVERY_MS)
  timer.unref()
  void measureLag(node, lag)
  const perAgent = (read: (host: MurmurNode["hosts"][number]) => number) => () =>
    node.hosts.map((host) => ({ value: read(host), labels: { agent: host.agent.name } }))
  const ends = [
    observe(
      "murmur.agent.sessions",
      "Sessions (keys) that the agent has seen on this node",
      perAgent(({ sessions }) => sessions),
    ),
    observe(
      "murmur.agent.inflight",
      "Events that the agent holds unfinished on this node",
      perAgent(({ inflight }) => inflight),
    ),
    observe(
      "murmur.agent.owned",
      "Whether this node owns a partition of the agent",
      perAgent(({ active }) => Number(active)),
    ),
    observe("murmur.agent.lag", "Events that wait for the agent, on all nodes", () =>
      [...lag].map(([agent, value]) => ({ value, labels: { agent } })),
    ),
    observe("murmur.bus.connected", "Whether the node is connected to NATS", () => [
      { value: Number(node.bus.connected) },
    ]),
    observe("murmur.bus.publishing", "Publishes that wait for their ack", () => [
      { value: node.bus.publisher.waiting },
    ]),
  ]
  return () => {
    clearInterval(timer)
    for (const end of ends) end()
  }
}

async function measureLag(node: MurmurNode, lag: Map<string, number>): Promise<void> {
  const { bus } = node
  if (!bus.connected) return
  for (const { agent } of node.hosts) {
    let waiting = 0
    for (const name of eventDurables(agent)) {
      const info = await durableInfo(bus.link, bus.names.events, name).catch(() => undefined)
      waiting += (info?.num_pending ?? 0) + (info?.num_ack_pending ?? 0)
    }
    lag.set(agent.name, waiting)
  }
}
