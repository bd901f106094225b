import { once } from "node:events"
import { appendFileSync } from "node:fs"
import { defineAgent } from "../../src/agents/define-agent.js"
import { openBus } from "../../src/bus/bus.js"
import { MurmurNode } from "../../src/node/node.js"
import { noTelemetry } from "../../src/telemetry/ports.js"
import { Confirmation, confirm, Order } from "../support/job.js"
import { readTask, tell, untilStopped } from "../support/parent.js"

/** A node whose agent pays for each order and says in its state which process did it. */
export interface WorkerTask {
  readonly url: string
  readonly mesh: string
  readonly concurrency: number
  /** Each paid call leaves a line here, that outlives the process. `undefined`: nothing is paid. */
  readonly callsFile: string | undefined
}

export interface WorkerReady {
  readonly ready: true
  /** Of the node. */
  readonly id: string
}

export const WORKER = "worker"

const task = await readTask<WorkerTask>()
const stopped = untilStopped()
const bus = await openBus({ url: task.url, name: "bench", mesh: task.mesh })
const { callsFile } = task
const worker = defineAgent(WORKER, {
  on: [Order],
  emits: [Confirmation],
  from: "start",
  concurrency: task.concurrency,
  state: { initial: 0, evolve: { Confirmed: (count: number, _: { n: number; pid: number }) => count + 1 } },
  async handle(event, ctx) {
    if (callsFile !== undefined) await ctx.run("pay", () => appendFileSync(callsFile, `${event.id}\n`))
    ctx.record("Confirmed", { n: event.data.n, pid: process.pid })
    ctx.emit(Confirmation(confirm(event.data)))
  },
})
const node = await MurmurNode.start({ bus, telemetry: noTelemetry, agents: [worker], sources: [] })
tell({ ready: true, id: node.id } satisfies WorkerReady)
await Promise.race([stopped, once(node.leaving, "abort")])
await node.stop(2_000)
await bus.close()
process.exit(0)
