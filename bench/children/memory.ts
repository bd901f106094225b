import { map } from "rxjs"
import { type AgentDefinition, defineAgent } from "../../src/agents/define-agent.js"
import { tumbling } from "../../src/agents/windows/operators.js"
import { openBus } from "../../src/bus/bus.js"
import { MurmurNode } from "../../src/node/node.js"
import { noTelemetry } from "../../src/telemetry/ports.js"
import { Confirmation, Order } from "../support/job.js"
import { readTask, tell, untilStopped } from "../support/parent.js"

/** Runs one agent over many keys and tells what its process holds. */
export interface MemoryTask {
  readonly kind: "handle" | "react"
  readonly keys: number
  /** So many events come first, of few keys. */
  readonly warmEvents: number
  readonly url: string
  readonly mesh: string
}

export interface MemoryReading {
  readonly heap: number
  readonly rss: number
}

/** Long enough to read while all windows are open. */
const IDLE_TIMEOUT_MS = 8_000

const task = await readTask<MemoryTask>()
const stopped = untilStopped()
const bus = await openBus({ url: task.url, name: "bench", mesh: task.mesh })
const agent = task.kind === "handle" ? handler() : reactor()
const node = await MurmurNode.start({ bus, telemetry: noTelemetry, agents: [agent], sources: [] })
const host = node.hosts[0]
if (host === undefined) throw new Error("the node hosts nothing")
tell({ ready: true })

const settled = (steps: number): boolean => host.stats.steps >= steps && host.inflight === 0
await until(() => settled(task.warmEvents))
await read()
await until(() => settled(task.warmEvents + task.keys))
await read()
if (task.kind === "react") {
  await until(() => host.stats.emitted >= task.keys)
  await read()
}
await stopped
await node.stop(2_000)
await bus.close()
process.exit(0)

function handler(): AgentDefinition {
  return defineAgent("memory", { on: [Order], from: "start", handle() {} })
}

function reactor(): AgentDefinition {
  return defineAgent("memory", {
    on: [Order],
    emits: [Confirmation],
    from: "start",
    window: { idleTimeoutMs: IDLE_TIMEOUT_MS },
    react: (orders$) =>
      orders$.pipe(
        tumbling(60_000),
        map(({ events }) => {
          const { n, customer } = events[0]?.data ?? { n: 0, customer: "nobody" }
          return Confirmation({ n, customer, total: events.length })
        }),
      ),
  })
}

/** Collects twice, with time in between for what is freed on another thread. */
async function read(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const { heapUsed, rss } = process.memoryUsage()
  tell({ heap: heapUsed, rss } satisfies MemoryReading)
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20))
}
