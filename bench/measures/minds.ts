import { z } from "zod"
import { defineAgent } from "../../src/agents/define-agent.js"
import { testAgent } from "../../src/agents/test-agent.js"
import { defineTool } from "../../src/agents/tools/define-tool.js"
import { defineEvent } from "../../src/bus/define-event.js"
import { scripted } from "../../src/gateways/scripted/scripted.js"
import type { CallerResult, CallerTask } from "../children/model-caller.js"
import { startChild } from "../support/child.js"
import { ratio, type Spread, spread } from "../support/stats.js"

export interface MindsOptions {
  readonly rounds: number
  readonly say: (line: string) => void
}

type By = CallerTask["by"]

/** What the way to a model costs. */
export interface Minds {
  readonly atATime: number
  readonly by: Readonly<Record<By, Readonly<Record<keyof CallerResult, Spread>>>>
  /** Broker less library, of each round, in milliseconds. */
  readonly p50OverheadMs: Spread
  /** Time a call at so many at a time, broker over library. */
  readonly timeRatio: Spread
  readonly cpuRatio: Spread
  /** How long a model's turn with eight tools of a second takes, in milliseconds. */
  readonly eightToolsMs: Spread
}

const AT_A_TIME = 64
const LOAD = { warmup: 1_000, alone: 1_500, together: 8_000, atATime: AT_A_TIME }
const BOTH: readonly By[] = ["sdk", "broker"]

/** Asks a server that answers at once, by the provider's library and through the broker, in turns. */
export async function measureMinds({ rounds, say }: MindsOptions): Promise<Minds> {
  const server = startChild("model-server", {})
  const found: Record<By, CallerResult[]> = { sdk: [], broker: [] }
  try {
    const { baseURL } = await server.next<{ baseURL: string }>()
    for (let round = 1; round <= rounds; round++) {
      for (const by of round % 2 === 0 ? BOTH : BOTH.toReversed()) {
        const result = await callerOf({ ...LOAD, baseURL, by })
        found[by].push(result)
        const { p50Ms, callsPerSecond, cpuUsPerCall } = result
        say(
          `  round ${round} ${by} ${p50Ms.toFixed(3)} ms, ${Math.round(callsPerSecond)}/s, ${Math.round(cpuUsPerCall)} us`,
        )
      }
    }
  } finally {
    await server.stop()
  }
  const all = (by: By, what: keyof CallerResult): number[] => found[by].map((result) => result[what])
  const spreads = (by: By) => ({
    p50Ms: spread(all(by, "p50Ms")),
    p99Ms: spread(all(by, "p99Ms")),
    callsPerSecond: spread(all(by, "callsPerSecond")),
    cpuUsPerCall: spread(all(by, "cpuUsPerCall")),
  })
  const bare = all("sdk", "p50Ms")
  return {
    atATime: AT_A_TIME,
    by: { sdk: spreads("sdk"), broker: spreads("broker") },
    p50OverheadMs: spread(all("broker", "p50Ms").map((ms, round) => ms - (bare[round] ?? Number.NaN))),
    timeRatio: ratio(all("sdk", "callsPerSecond"), all("broker", "callsPerSecond")),
    cpuRatio: ratio(all("broker", "cpuUsPerCall"), all("sdk", "cpuUsPerCall")),
    eightToolsMs: spread([await eightTools(), await eightTools(), await eightTools()]),
  }
}

async function callerOf(task: CallerTask): Promise<CallerResult> {
  const child = startChild("model-caller", task)
  try {
    return await child.next<CallerResult>(300_000)
  } finally {
    await child.stop()
  }
}

/** A step whose model asks for eight tools at once, each of which takes a second. */
async function eightTools(): Promise<number> {
  const Asked = defineEvent("bench.asked", z.object({}))
  const wait = defineTool({
    name: "wait",
    description: "Takes a second",
    input: z.object({ n: z.int() }),
    effect: "read",
    run: ({ n }) => new Promise<number>((resolve) => setTimeout(resolve, 1_000, n)),
  })
  const toolCalls = Array.from({ length: 8 }, (_, n) => ({ name: "wait", arguments: { n } }))
  const agent = defineAgent("scatterer", {
    on: [Asked],
    tools: [wait],
    model: "scripted/demo",
    handle: async (_, ctx) => void (await ctx.llm.text("go", { tools: [wait] })),
  })
  const gateways = [scripted({ replies: ({ turn }) => (turn === 0 ? { toolCalls } : "done") })]
  const began = performance.now()
  const { dead } = await testAgent(agent, { models: { gateways } }).when(Asked({}))
  if (dead.length > 0) throw dead[0]?.error
  return performance.now() - began
}
