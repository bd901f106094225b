import type { FoldReading, FoldTask } from "../children/fold.js"
import { type Child, startChild } from "../support/child.js"
import { createMesh } from "../support/mesh.js"
import { type Spread, spread } from "../support/stats.js"

/** What it takes to have one long session in memory, in milliseconds. */
export interface Fold {
  readonly commits: number
  readonly snapshotEvery: number
  /** From the first commit on, and from the newest snapshot on. */
  readonly whole: FoldTimes
  readonly snapshot: FoldTimes
}

export interface FoldTimes {
  /** Nothing is in memory, in a process that does it for the first time. */
  readonly first: number
  /** Nothing of the session is in memory. */
  readonly cold: Spread
  readonly warm: number
  /** `murmur session --at` the middle of its log. */
  readonly view: Spread
}

export interface FoldOptions {
  readonly url: string
  readonly commits: number
  readonly runs: number
  readonly say: (line: string) => void
}

/** How often an agent writes a snapshot unless it says otherwise. */
const SNAPSHOT_EVERY = 200

export async function measureFold({ url, commits, runs, say }: FoldOptions): Promise<Fold> {
  const mesh = await createMesh(url)
  const timesOf = async (agent: string, snapshotEvery: number): Promise<FoldTimes> => {
    const task: FoldTask = { url, mesh: mesh.name, agent, commits, snapshotEvery, runs: 0 }
    await using(startChild("fold", task), (child) => child.next(300_000))
    const { cold, warm, view } = await using(startChild("fold", { ...task, runs }), (child) =>
      child.next<FoldReading>(120_000),
    )
    const [first = Number.NaN, ...others] = cold
    const times = { first, cold: spread(others), warm, view: spread(view) }
    const { median } = times.cold
    say(`  ${agent}: first ${first.toFixed(0)} ms, cold ${median.toFixed(0)} ms, warm ${(warm * 1_000).toFixed(1)} us`)
    return times
  }
  try {
    const whole = await timesOf("whole", Number.MAX_SAFE_INTEGER)
    const snapshot = await timesOf("snapshot", SNAPSHOT_EVERY)
    return { commits, snapshotEvery: SNAPSHOT_EVERY, whole, snapshot }
  } finally {
    await mesh.remove()
  }
}

async function using<T>(child: Child, work: (child: Child) => Promise<T>): Promise<T> {
  try {
    return await work(child)
  } finally {
    await child.stop()
  }
}
