import { type AgentDefinition, defineAgent } from "../../src/agents/define-agent.js"
import { openBus } from "../../src/bus/bus.js"
import { MurmurNode } from "../../src/node/node.js"
import { VERSION } from "../../src/node/version.js"
import { startTelemetry } from "../../src/telemetry/setup.js"
import { Confirmation, confirm, Order } from "../support/job.js"
import { ACK_PENDING_MAX, type StartLoop } from "./loop.js"

/**
 * (c) and (d) A node as `murmur up` starts it: schemas checked on both sides, routed, one event of a key at a time, derived
 * ids, counters for `/metrics`. Traces are on when the environment says so.
 */
export const startAgents: StartLoop = async (task, onEvent) => {
  const telemetry = await startTelemetry({
    serviceName: "murmur",
    mesh: task.mesh,
    nodeId: task.name,
    version: VERSION,
    env: process.env,
    prometheus: true,
  })
  const { log } = telemetry.telemetry
  const bus = await openBus({ url: task.url, name: "bench", mesh: task.mesh, log })
  const agents = Array.from({ length: task.agents }, (_, n) => agentOf(`${task.name}-${n}`, task.inflight, onEvent))
  const node = await MurmurNode.start({ bus, telemetry: telemetry.telemetry, agents, sources: [] })
  return async () => {
    await node.stop(2_000)
    await bus.close()
    await telemetry.shutdown()
  }
}

function agentOf(name: string, concurrency: number, onEvent: () => void): AgentDefinition {
  return defineAgent(name, {
    on: [Order],
    emits: [Confirmation],
    from: "start",
    concurrency,
    inflightMax: ACK_PENDING_MAX,
    handle(event, ctx) {
      onEvent()
      ctx.emit(Confirmation(confirm(event.data)))
    },
  })
}
