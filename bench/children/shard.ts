import { openBus } from "../../src/bus/bus.js"
import { MurmurNode } from "../../src/node/node.js"
import { noTelemetry } from "../../src/telemetry/ports.js"
import { readTask, tell, untilStopped } from "../support/parent.js"
import { shardAgents } from "../support/shards.js"

/** A node that hosts the agents of the scale-out. Asked for it, it tells how many events it has taken up. */
export interface ShardTask {
  readonly url: string
  readonly mesh: string
}

export interface ShardCount {
  readonly taken: number
}

const task = await readTask<ShardTask>()
const stopped = untilStopped()
let taken = 0
const agents = shardAgents(() => {
  taken += 1
})
const bus = await openBus({ url: task.url, name: "bench", mesh: task.mesh })
const node = await MurmurNode.start({ bus, telemetry: noTelemetry, agents, sources: [] })
process.on("message", (message) => {
  if ((message as { count?: boolean }).count === true) tell({ taken } satisfies ShardCount)
})
tell({ ready: true })
await stopped
await node.stop(2_000)
await bus.close()
process.exit(0)
