import type { Spread } from "../support/stats.js"
import type { Results } from "./results.js"

/** Something that the benchmark is to show, and what it showed. */
export interface Aim {
  readonly what: string
  readonly atLeast?: number
  readonly atMost?: number
  readonly found: number
  /** Smallest and largest of the rounds. */
  readonly range: readonly [number, number] | undefined
  readonly met: boolean
}

/** The aims that these results can say something about. */
export function aimsOf(results: Results): Aim[] {
  const { throughput, latency, memory, cli, routes } = results
  const { default: plain, always } = throughput
  const idle = memory?.handle.map(({ keys, heapBytes }) =>
    aim(`kB of heap per idle session, ${keys} keys`, { atMost: 0.3 }, heapBytes / 1_000),
  )
  const growth = Object.entries(routes ?? {})
    .filter(([kind]) => !kind.includes("one by one"))
    .map(([, byCount]) => (byCount[10_000]?.concerns ?? Number.NaN) / (byCount[10]?.concerns ?? Number.NaN))
  return [
    aim("(c) / (a), events/s, default sync", { atLeast: 1.2 }, plain?.ratios["c/a"]),
    aim("(c) / (b), events/s, default sync", { atLeast: 0.5 }, plain?.ratios["c/b"]),
    aim("(d) / (a), events/s, default sync", { atLeast: 0.85 }, plain?.ratios["d/a"]),
    aim("(c) / (b), events/s, sync always", { atLeast: 0.9 }, always?.ratios["c/b"]),
    aim("(c) / (a), p99 latency, default sync", { atMost: 1.5 }, latency.default?.p99Ratios["c/a"]),
    aim("(c) / (a), p99 latency, sync always", { atMost: 1.5 }, latency.always?.p99Ratios["c/a"]),
    ...durableAims(results),
    ...mindAims(results),
    ...(idle ?? []),
    aim("`murmur --help`, times bare Node", { atMost: 1.3 }, cli?.commands["murmur --help"]?.timesNode),
    aim("`murmur publish`, times bare Node", { atMost: 2.5 }, cli?.commands["murmur publish"]?.timesNode),
    ...(growth.length === 0
      ? []
      : [
          aim(
            "routing an event to an agent with 10,000 routes, times that with 10 (worst kind with an index)",
            { atMost: 2 },
            Math.max(...growth),
          ),
        ]),
  ].filter((one) => one !== undefined)
}

/** What steps of sessions are to hold. */
function durableAims({ state, fold, recovery, nodes, duplicates: twice }: Results): (Aim | undefined)[] {
  const beyond = recovery && (recovery.killed.max - recovery.priorityTimeoutMs) / 1_000
  const killedP99 = nodes?.failover.by.kill.p99
  const again = twice && twice.commits + twice.outputs + twice.calls + twice.lost
  return [
    aim("(f) / (e), steps/s, default sync", { atLeast: 0.7 }, state.default?.ratios["f/e"]),
    aim("(f) / (e), steps/s, sync always", { atLeast: 0.7 }, state.always?.ratios["f/e"]),
    aim(`s to show a session of ${fold?.commits} commits as of the middle`, { atMost: 1 }, seconds(fold?.whole.view)),
    aim("slowest recovery after SIGKILL, s beyond the priority timeout", { atMost: 2 }, beyond),
    aim("p99 s from SIGKILL of a node to the next commit of its keys", { atMost: 5 }, killedP99 && killedP99 / 1_000),
    aim("commits, outputs and calls that were made twice, or lost, under faults", { atMost: 0 }, again),
  ]
}

/** What the way to a model may cost. */
function mindAims({ minds }: Results): (Aim | undefined)[] {
  return [
    aim("broker over the bare library, ms at p50", { atMost: 1 }, minds?.p50OverheadMs),
    aim(`broker / bare library, time a call, ${minds?.atATime} at a time`, { atMost: 1.1 }, minds?.timeRatio),
    aim("s for eight tools of one second in one turn", { atMost: 1.1 }, seconds(minds?.eightToolsMs)),
  ]
}

function seconds(ms: Spread | undefined): Spread | undefined {
  return ms && { ...ms, median: ms.median / 1_000, min: ms.min / 1_000, max: ms.max / 1_000 }
}

function aim(
  what: string,
  bound: { readonly atLeast?: number; readonly atMost?: number },
  found: Spread | number | undefined,
): Aim | undefined {
  if (found === undefined) return undefined
  const value = typeof found === "number" ? found : found.median
  const met =
    value >= (bound.atLeast ?? Number.NEGATIVE_INFINITY) && value <= (bound.atMost ?? Number.POSITIVE_INFINITY)
  return { what, ...bound, found: value, range: typeof found === "number" ? undefined : [found.min, found.max], met }
}
