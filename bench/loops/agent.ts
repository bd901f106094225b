import { type AgentDefinition, defineAgent } from "../../src/agents/define-agent.js"
import { openBus } from "../../src/bus/bus.js"
import { MurmurNode } from "../../src/node/node.js"
import { VERSION } from "../../src/node/version.js"
import { startTelemetry } from "../../src/telemetry/setup.js"
import { Confirmation, confirm, Order, TOTALS } from "../support/job.js"
import { ACK_PENDING_MAX, type LoopTask, type StartLoop } from "./loop.js"

/**
 * (c), (d), (f) and (h) A node as `murmur up` starts it: schemas checked on both sides, routed, one event of a key at a time, derived
 * ids, counters for `/metrics`. Traces are on when the environment says so.
 * (f) has a state and commits each step, (h) journals calls.
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
  const bus = await openBus({ ...task.login, url: task.url, name: "bench", mesh: task.mesh, log })
  const agents = Array.from({ length: task.agents }, (_, n) => agentOf(agentName(task, n), task, onEvent))
  const node = await MurmurNode.start({ bus, telemetry: telemetry.telemetry, agents, sources: [] })
  return async () => {
    await node.stop(2_000)
    await bus.close()
    await telemetry.shutdown()
  }
}

/** The nth agent of a loop. */
export const agentName = ({ name }: Pick<LoopTask, "name">, n: number): string => `${name}-${n}`

/** An agent of a loop: with state, with calls, or with neither. */
export function agentOf(
  name: string,
  task: Pick<LoopTask, "variant" | "calls" | "inflight">,
  onEvent: () => void,
): AgentDefinition {
  const shared = {
    on: [Order],
    emits: [Confirmation],
    from: "start",
    concurrency: task.inflight,
    inflightMax: ACK_PENDING_MAX,
  } as const
  if (task.variant === "state") {
    return defineAgent(name, {
      ...shared,
      state: TOTALS,
      handle(event, ctx) {
        onEvent()
        const { n, customer, total } = confirm(event.data)
        ctx.record("Confirmed", { n, total })
        ctx.emit(Confirmation({ n, customer, total }))
      },
    })
  }
  if (task.variant === "journal") {
    return defineAgent(name, {
      ...shared,
      async handle(event, ctx) {
        onEvent()
        for (let n = 0; n < task.calls; n++) await ctx.run(`call ${n}`, () => n)
        ctx.emit(Confirmation(confirm(event.data)))
      },
    })
  }
  return defineAgent(name, {
    ...shared,
    handle(event, ctx) {
      onEvent()
      ctx.emit(Confirmation(confirm(event.data)))
    },
  })
}
