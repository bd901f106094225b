import type { LoopResult, LoopTask } from "../loops/loop.js"
import { cpuMsOf } from "../support/cpu.js"
import { createMesh } from "../support/mesh.js"
import { ratio, type Spread, spread } from "../support/stats.js"
import { startVariant, type Variant } from "./variants.js"

export interface ThroughputOptions {
  readonly url: string
  readonly serverPid: number
  readonly otlpUrl: string
  /** How many times the four run, one after the other. */
  readonly rounds: number
  readonly events: number
  readonly warmup: number
  readonly variants: readonly Variant[]
  /** Which rates are compared, as `c/a`. */
  readonly ratios: readonly (readonly [Variant, Variant])[]
  /** More of the loops' task. */
  readonly task?: Partial<LoopTask>
  readonly say: (line: string) => void
}

/** What one variant did. */
export interface VariantThroughput {
  readonly eventsPerSecond: Spread
  /** CPU time of the loop's process for one event, in microseconds. */
  readonly cpuUsPerEvent: Spread
  /** CPU time of the server's process for one event, in microseconds, warm-up and all; where the system tells. */
  readonly serverCpuUsPerEvent: Spread | undefined
}

export interface Throughput {
  readonly events: number
  readonly warmup: number
  readonly variants: Partial<Record<Variant, VariantThroughput>>
  /** Rates compared round by round: `c/a`, `c/b`, `d/a`. */
  readonly ratios: Readonly<Record<string, Spread>>
}

interface Run {
  readonly rate: number
  readonly cpuUs: number
  readonly serverCpuUs: number
}

/** Runs the variants in turns on one server: what disturbs the machine disturbs them alike. */
export async function measureThroughput(options: ThroughputOptions): Promise<Throughput> {
  const { variants } = options
  const runs = new Map<Variant, Run[]>(variants.map((variant) => [variant, []]))
  for (let round = 1; round <= options.rounds; round++) {
    for (const variant of variants) {
      const run = await runOnce(variant, options)
      runs.get(variant)?.push(run)
      options.say(`  round ${round} (${variant}) ${Math.round(run.rate)} events/s, ${run.cpuUs.toFixed(1)} us CPU`)
    }
  }
  const pick = (variant: Variant, field: keyof Run): number[] => (runs.get(variant) ?? []).map((run) => run[field])
  const compare = (a: Variant, b: Variant): Spread => ratio(pick(a, "rate"), pick(b, "rate"))
  return {
    events: options.events,
    warmup: options.warmup,
    variants: Object.fromEntries(
      variants.map((variant) => [
        variant,
        {
          eventsPerSecond: spread(pick(variant, "rate")),
          cpuUsPerEvent: spread(pick(variant, "cpuUs")),
          serverCpuUsPerEvent: Number.isNaN(pick(variant, "serverCpuUs")[0])
            ? undefined
            : spread(pick(variant, "serverCpuUs")),
        },
      ]),
    ),
    ratios: Object.fromEntries(options.ratios.map(([one, other]) => [`${one}/${other}`, compare(one, other)])),
  }
}

async function runOnce(variant: Variant, options: ThroughputOptions): Promise<Run> {
  const { url, otlpUrl, events, warmup, serverPid } = options
  const mesh = await createMesh(url, events)
  const serverBefore = cpuMsOf(serverPid) ?? Number.NaN
  const child = startVariant(variant, { url, mesh: mesh.name, events, warmup, ...options.task }, { otlpUrl })
  try {
    await child.next() // ready
    const result = await child.next<LoopResult>()
    await untilStored(mesh.results, events)
    const serverCpuUs = (((cpuMsOf(serverPid) ?? Number.NaN) - serverBefore) * 1_000) / events
    return { rate: (result.events * 1_000) / result.ms, cpuUs: result.cpuUs / result.events, serverCpuUs }
  } finally {
    await child.stop()
    await mesh.remove()
  }
}

/** Every event has exactly one result, or the run is void. */
export async function untilStored(results: () => Promise<number>, wanted: number): Promise<void> {
  const deadline = Date.now() + 10_000
  for (;;) {
    const found = await results()
    if (found === wanted) return
    if (found > wanted || Date.now() > deadline) throw new Error(`${wanted} events have ${found} results`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
