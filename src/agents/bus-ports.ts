import type { Bus } from "../bus/bus.js"
import { Partition } from "../bus/partition.js"
import { readHistory, readMessage } from "../bus/reader.js"
import { StreamLog } from "../bus/record-log.js"
import { SharedLane } from "../bus/shared-lane.js"
import { type AgentPorts, SHARED_ACK_WAIT_MS } from "./host.js"
import type { EventPort, HandlerPorts } from "./ports.js"

/** The events of a mesh, over its bus. */
export function busEvents(bus: Bus): EventPort {
  return {
    store: (event) => bus.publisher.store(event),
    publish: (draft, options) => bus.publish(draft, options),
    read: (seq) => readMessage(bus.link, bus.names.events, seq),
    ids: (producer, key, since) => storedIds(bus, producer, key, since),
  }
}

/** The ports of an agent with a handler, over a bus. */
export function handlerPorts(
  bus: Bus,
  agent: string,
  ports: AgentPorts,
  node: Pick<HandlerPorts, "alone" | "suspension">,
): HandlerPorts {
  const { link, names } = bus
  return {
    ...ports,
    ...node,
    logs: busLogs(bus, agent),
    openLane: (durable, handler, { batchMax, room }) => {
      const options = { stream: names.events, durable, batchMax, log: ports.telemetry.log }
      if (room === undefined) return new Partition(link, options, handler)
      return new SharedLane(link, { ...options, room, ackWaitMs: SHARED_ACK_WAIT_MS }, handler)
    },
  }
}

/** The log streams of an agent. */
export function busLogs({ link, names, publisher }: Bus, agent: string): HandlerPorts["logs"] {
  return {
    sessions: new StreamLog(link, publisher, names.sessionsOf(agent)),
    steps: new StreamLog(link, publisher, names.stepsOf(agent)),
  }
}

async function* storedIds(bus: Bus, producer: string, key: string | undefined, since: Date): AsyncGenerator<string> {
  const filter = bus.names.storedFilter(">", { producer, ...(key !== undefined && { key }) })
  const read = { stream: bus.names.events, filter, from: { time: since }, headersOnly: true }
  for await (const message of readHistory(bus.link, read)) {
    const id = message.header("Nats-Msg-Id")
    if (id !== undefined) yield id
  }
}
