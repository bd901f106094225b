import { measureThroughput, type Throughput } from "./throughput.js"
import { CALL_VARIANTS, STATE_VARIANTS } from "./variants.js"

interface Shared {
  readonly url: string
  readonly serverPid: number
  readonly rounds: number
  readonly events: number
  readonly warmup: number
  readonly say: (line: string) => void
}

/** Steps of sessions: (f) beside the bare loop (e). */
export function measureState(options: Shared): Promise<Throughput> {
  return measureThroughput({ ...options, otlpUrl: "", variants: STATE_VARIANTS, ratios: [["f", "e"]] })
}

/** Steps of several journaled calls each, made one after the other: (h) beside the bare loop (g). */
export interface Calls {
  readonly callsPerStep: number
  /** One step at a time: how long a call takes. */
  readonly alone: Throughput
  /** Many steps at a time: how much a call costs. */
  readonly together: Throughput
}

const CALLS_PER_STEP = 20

export async function measureCalls(options: Shared): Promise<Calls> {
  const shared = { ...options, otlpUrl: "", variants: CALL_VARIANTS, ratios: [["h", "g"]] } as const
  const calls = CALLS_PER_STEP
  return {
    callsPerStep: calls,
    alone: await measureThroughput({ ...shared, task: { calls, inflight: 1 } }),
    together: await measureThroughput({ ...shared, task: { calls } }),
  }
}
