import { Link } from "../model/link.js"
import { Process } from "../world/process.js"
import { World } from "../world/world.js"
import { agentsOf, Given } from "./agents.js"
import type { BillOptions } from "./bill.js"
import { checkRun } from "./check.js"
import { SimEvents } from "./events.js"
import { Fleet } from "./faults.js"
import { withoutRealTime } from "./frozen-time.js"
import { SimMesh, type SimMeshOptions } from "./mesh.js"
import { type Input, type Scenario, scenarioOf } from "./scenario.js"

/** How a run went. */
export interface Outcome {
  readonly seed: string
  readonly scenario: Scenario
  /** What did not hold. */
  readonly violations: readonly string[]
  readonly trace: readonly string[]
  readonly counts: { readonly turns: number; readonly events: number; readonly commits: number; readonly calls: number }
}

export interface SimulateOptions {
  /** Whether a line is kept of all that happens. Default false. */
  readonly trace?: boolean
  /** Breaks the runtime on purpose. */
  readonly tamper?: SimMeshOptions["tamper"]
}

/** After the last fault the mesh has this long to work off what is left, in virtual time. */
const SETTLE_MS_MAX = 1_800_000
/** Who is still dead when the faults are over is started again after so long, and again. */
const HEAL_EVERY_MS = 30_000
/** It is not asked at each turn whether all is done. */
const LOOK_EVERY_TURNS = 8

/** Runs the scenario of a seed, and holds what is left to what murmur promises. The same seed is the same run. */
export async function simulate(seed: string, options: SimulateOptions = {}): Promise<Outcome> {
  const world = new World(seed, options)
  return withoutRealTime(world, () => run(world, seed, options))
}

async function run(world: World, seed: string, { tamper }: SimulateOptions): Promise<Outcome> {
  const scenario = scenarioOf(seed)
  const { plans, links, dedupWindowMs } = scenario
  const bill = billOf(scenario)
  const agents = agentsOf(scenario.shapes)
  const mesh = new SimMesh(world, agents, { seed, plans, links, dedupWindowMs, bill, tamper })
  const fleet = new Fleet(mesh, scenario.nodes)
  for (const fault of scenario.faults) fleet.schedule(fault)
  const given = publishAll(mesh, scenario.inputs)
  for (const inMs of scenario.retriesAtMs) mesh.operator.retriesLettersAt(inMs)

  await world.run(() => false, Math.max(0, ...scenario.faults.map(({ atMs }) => atMs)))
  const heal = (): void => {
    fleet.heal()
    world.after(HEAL_EVERY_MS, heal)
  }
  world.after(HEAL_EVERY_MS, heal)
  let turns = 0
  const settled = (): boolean => turns++ % LOOK_EVERY_TURNS === 0 && given.left === 0 && mesh.settled
  const violations = (await world.run(settled, SETTLE_MS_MAX)) ? [] : [`all is worked off: ${mesh.backlog}`]
  violations.push(...(await checkRun(mesh, scenario)))
  const { events, sessions } = mesh.streams
  return {
    ...{ seed, scenario, violations, trace: world.trace },
    counts: { turns: world.turns, events: events.lastSeq, commits: sessions.lastSeq, calls: mesh.bill.made },
  }
}

/** What can be asked of the nodes of a run. */
function billOf({ zombies, shapes, inputs, links, retriesAtMs }: Scenario): BillOptions {
  // any node takes an event, and one that is stored twice two of them may take at a time
  const sideBySide = shapes.some(({ ordering }) => ordering === "none") && inputs.some(({ againAtMs }) => againAtMs)
  const strict = !zombies && !sideBySide
  // a letter may be sent back while what its step had begun still goes on
  return { strict, calm: strict && links.answerLoss === 0 && links.slow === 0 && retriesAtMs.length === 0 }
}

/** Somebody outside publishes, and may do it twice. */
function publishAll(mesh: SimMesh, inputs: readonly Input[]): { left: number } {
  const given = { left: 0 }
  const link = new Link(new Process(mesh.world, "outside"), mesh.server)
  const events = new SimEvents(link, mesh)
  for (const { id, key, atMs, againAtMs } of inputs) {
    for (const at of againAtMs === undefined ? [atMs] : [atMs, againAtMs]) {
      given.left += 1
      mesh.world.after(at, () => {
        const draft = Given({ known: [] }, { id, ...(key !== undefined && { key }) })
        void events.publish(draft, { producer: "outside" }).then(() => {
          given.left -= 1
        })
      })
    }
  }
  return given
}
