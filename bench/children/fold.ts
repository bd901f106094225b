import { changesBetween } from "../../src/agents/sessions/changes.js"
import { openBus } from "../../src/bus/bus.js"
import { readSession } from "../../src/node/session-view.js"
import { confirm, orderOf, TOTALS, type Totals } from "../support/job.js"
import { readTask, tell, untilStopped } from "../support/parent.js"
import { openTotals } from "../support/sessions.js"

/** Writes one long session, or reads one: each in a process of its own, so that a reading begins with nothing. */
export interface FoldTask {
  readonly url: string
  readonly mesh: string
  readonly agent: string
  readonly commits: number
  readonly snapshotEvery: number
  /** How often it is read; 0: it is written. */
  readonly runs: number
}

/** Milliseconds. */
export interface FoldReading {
  /** Each run with nothing in memory; the first one besides with code that was never run. */
  readonly cold: readonly number[]
  /** One look at a session that is in memory. */
  readonly warm: number
  /** What `murmur session --at` does for the middle of the log. */
  readonly view: readonly number[]
}

const KEY = "customer-0"
const WARM_LOADS = 10_000

const task = await readTask<FoldTask>()
const stopped = untilStopped()
const bus = await openBus({ url: task.url, name: "bench", mesh: task.mesh })
if (task.runs === 0) await write()
else tell(await read())
await stopped
await bus.close()
process.exit(0)

async function write(): Promise<void> {
  const store = openTotals(bus, task.agent, task.snapshotEvery)
  const session = await store.load(KEY)
  for (let n = 1; n <= task.commits; n++) {
    const { total } = confirm(orderOf(n, 1))
    const before = session.state as Totals
    const entry = { n, total }
    const result = await store.commit(session, {
      kind: "commit",
      cause: { id: `order-${n}-of-this-session`, type: "bench.order", seq: n },
      entries: [{ name: "Confirmed", data: entry }],
      changes: changesBetween(n === 1 ? undefined : before, TOTALS.evolve.Confirmed(before, entry)),
      outputs: [],
      attempt: 1,
      code: "bench",
      stateVersion: 1,
      snapshot: 0,
      at: new Date().toISOString(),
    })
    if (result !== "stored") throw new Error(`commit ${n} was refused: ${result}`)
  }
  tell({ written: true })
}

async function read(): Promise<FoldReading> {
  const cold: number[] = []
  const view: number[] = []
  let store = openTotals(bus, task.agent, task.snapshotEvery)
  for (let run = 0; run < task.runs; run++) {
    store = openTotals(bus, task.agent, task.snapshotEvery)
    cold.push(await timed(load))
  }
  const began = performance.now()
  for (let n = 0; n < WARM_LOADS; n++) await store.load(KEY)
  const warm = (performance.now() - began) / WARM_LOADS
  const middle = Math.floor((await store.load(KEY)).seq / 2)
  for (let run = 0; run < task.runs; run++) {
    view.push(await timed(() => readSession(bus, task.agent, KEY, { seq: middle })))
  }
  return { cold, warm, view }

  async function load(): Promise<void> {
    const session = await store.load(KEY)
    const { count } = session.state as Totals
    if (count !== task.commits) throw new Error(`${task.commits} commits were folded to ${count}`)
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}
