import { startAgents } from "../loops/agent.js"
import { startBare } from "../loops/bare.js"
import { startCalls, startFenced } from "../loops/fenced.js"
import type { LoopResult, LoopTask } from "../loops/loop.js"
import { startMultiplexer } from "../loops/multiplexer.js"
import { readTask, tell, untilStopped } from "../support/parent.js"

/** Runs one loop. Tells `{ready}` when it serves, a {@link LoopResult} when it has handled the last event. */
const LOOPS = {
  bare: startBare,
  multiplexer: startMultiplexer,
  agent: startAgents,
  fenced: startFenced,
  state: startAgents,
  calls: startCalls,
  journal: startAgents,
}

const task = await readTask<LoopTask>()
const stopped = untilStopped()
const stop = await LOOPS[task.variant](task, meter(task))
tell({ ready: true })
await stopped
await stop()
process.exit(0)

/** Both marks are set when an event is taken up, with as many others in work, so what is in flight evens out. */
function meter({ events, warmup }: LoopTask): () => void {
  let count = 0
  let began = 0
  let cpu = process.cpuUsage()
  return () => {
    count += 1
    if (count === warmup) {
      began = performance.now()
      cpu = process.cpuUsage()
    } else if (count === events) {
      const ms = performance.now() - began
      const { user, system } = process.cpuUsage(cpu)
      tell({ events: events - warmup, ms, cpuUs: user + system } satisfies LoopResult)
    }
  }
}
