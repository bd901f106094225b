import type { LoopResult } from "../loops/loop.js"
import { createMesh } from "../support/mesh.js"
import { type Spread, spread } from "../support/stats.js"
import { untilStored } from "./throughput.js"
import { startVariant } from "./variants.js"

export interface FanOutOptions {
  readonly url: string
  readonly rounds: number
  readonly events: number
  readonly say: (line: string) => void
}

/** Events that each concern several agents of one node; each agent publishes a result of its own. */
export interface FanOut {
  readonly events: number
  /** By number of agents. */
  readonly agents: Readonly<Record<number, { readonly stepsPerSecond: Spread; readonly cpuUsPerStep: Spread }>>
}

const AGENTS = [1, 10] as const

export async function measureFanOut({ url, rounds, events, say }: FanOutOptions): Promise<FanOut> {
  const rates = new Map<number, number[]>(AGENTS.map((agents) => [agents, []]))
  const cpu = new Map<number, number[]>(AGENTS.map((agents) => [agents, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const agents of AGENTS) {
      // as many steps for one agent as for ten
      const each = (events * AGENTS[1]) / agents
      const result = await runOnce(url, agents, each)
      rates.get(agents)?.push((result.events * 1_000) / result.ms)
      cpu.get(agents)?.push(result.cpuUs / result.events)
      say(`  round ${round} ${agents} agents ${Math.round((result.events * 1_000) / result.ms)} steps/s`)
    }
  }
  return {
    events,
    agents: Object.fromEntries(
      AGENTS.map((agents) => [
        agents,
        { stepsPerSecond: spread(rates.get(agents) ?? []), cpuUsPerStep: spread(cpu.get(agents) ?? []) },
      ]),
    ),
  }
}

async function runOnce(url: string, agents: number, events: number): Promise<LoopResult> {
  const mesh = await createMesh(url, events)
  const steps = events * agents
  const child = startVariant("c", { url, mesh: mesh.name, events: steps, warmup: Math.floor(steps / 3), agents })
  try {
    await child.next() // ready
    const result = await child.next<LoopResult>()
    await untilStored(mesh.results, steps)
    return result
  } finally {
    await child.stop()
    await mesh.remove()
  }
}
