import { openBus } from "../../src/bus/bus.js"
import type { LoginOptions } from "../../src/bus/login.js"
import type { LoopResult, LoopTask } from "../loops/loop.js"
import { Confirmation, confirm, orderOf } from "../support/job.js"
import { type BenchMesh, createMesh, KEYS, type MeshOptions } from "../support/mesh.js"
import { ratio, type Spread, spread } from "../support/stats.js"
import { untilStored } from "./throughput.js"
import { startVariant } from "./variants.js"

/** A way to run a mesh whose rates are compared with those of others. */
export interface Setting {
  readonly name: string
  readonly url: string
  /** How the mesh is made, by whoever may make it. */
  mesh(round: number): MeshOptions
  /** How the node logs in. */
  readonly login?: LoginOptions
  /** Name of the loop, where it must be known before. */
  loop?(round: number): string
  /** Makes what the node may not make for itself. */
  deploy?(mesh: BenchMesh, loop: Pick<LoopTask, "name">): Promise<void>
}

export interface RatesLoad {
  readonly publishes: number
  readonly steps: number
  readonly rounds: number
}

/** What a setting did, and how that compares with the first setting, round by round. */
export interface SettingRates {
  readonly publishesPerSecond: Spread
  readonly stepsPerSecond: Spread
  readonly publishRatio: Spread
  readonly stepRatio: Spread
}

interface Run {
  readonly publishes: number
  readonly steps: number
}

/** The settings take turns. */
export async function compareRates(
  settings: readonly Setting[],
  load: RatesLoad,
  say: (line: string) => void,
): Promise<Record<string, SettingRates>> {
  const runs = new Map<string, Run[]>(settings.map(({ name }) => [name, []]))
  for (let round = 1; round <= load.rounds; round++) {
    for (const setting of settings) {
      const run = await runOnce(setting, load, round)
      runs.get(setting.name)?.push(run)
      const [publishes, steps] = [Math.round(run.publishes), Math.round(run.steps)]
      say(`  round ${round}, ${setting.name}: ${publishes} publishes/s, ${steps} steps/s`)
    }
  }
  const pick = (name: string, field: keyof Run): number[] => (runs.get(name) ?? []).map((run) => run[field])
  const [first] = settings
  return Object.fromEntries(
    settings.map(({ name }) => [
      name,
      {
        publishesPerSecond: spread(pick(name, "publishes")),
        stepsPerSecond: spread(pick(name, "steps")),
        publishRatio: ratio(pick(name, "publishes"), pick(first?.name ?? "", "publishes")),
        stepRatio: ratio(pick(name, "steps"), pick(first?.name ?? "", "steps")),
      },
    ]),
  )
}

/** A third more, before, warms up. */
async function runOnce(setting: Setting, { steps, publishes }: RatesLoad, round: number): Promise<Run> {
  const { url, login } = setting
  const warmup = Math.floor(steps / 3)
  const mesh = await createMesh(url, steps + warmup, KEYS, setting.mesh(round))
  try {
    const name = setting.loop?.(round) ?? `rates-${round}`
    await setting.deploy?.(mesh, { name })
    const task = { url, mesh: mesh.name, name, events: steps + warmup, warmup, ...(login && { login }) }
    const child = startVariant("f", task)
    try {
      await child.next() // ready
      const { events, ms } = await child.next<LoopResult>()
      await untilStored(mesh.results, steps + warmup)
      return { steps: (events * 1_000) / ms, publishes: await publishRate(setting, mesh, `${name}-0`, publishes) }
    } finally {
      await child.stop()
    }
  } finally {
    await mesh.remove()
  }
}

/** What the node may publish, with its own login. */
async function publishRate({ url, login }: Setting, mesh: BenchMesh, producer: string, count: number): Promise<number> {
  const bus = await openBus({ ...login, url, name: "bench", mesh: mesh.name })
  const publish = async (from: number, to: number): Promise<void> => {
    const drafts = Array.from({ length: to - from }, (_, n) => Confirmation(confirm(orderOf(from + n, KEYS))))
    for await (const _ of bus.publishMany(drafts, { producer, inflightMax: 1_000 }));
  }
  try {
    const warmup = Math.floor(count / 3)
    await publish(0, warmup)
    const began = performance.now()
    await publish(warmup, warmup + count)
    return (count * 1_000) / (performance.now() - began)
  } finally {
    await bus.close()
  }
}
