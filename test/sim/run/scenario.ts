import type { LinkOptions } from "../model/link.js"
import { Random } from "../world/random.js"
import type { Shape } from "./agents.js"
import { KEYS, type Key, type PlanOptions } from "./plan.js"

/** One event from outside, and when it is published; again, if it is published twice. */
export interface Input {
  readonly id: string
  readonly key: Key
  readonly atMs: number
  readonly againAtMs: number | undefined
}

/** Something that happens to a node, which is meant by its number. */
export type NodeFault =
  | { readonly kind: "crash"; readonly atMs: number; readonly node: number; readonly backAfterMs: number }
  /** Not at a time but between two steps of its code. */
  | {
      readonly kind: "crash-at-entry"
      readonly atMs: number
      readonly node: number
      readonly entry: number
      readonly backAfterMs: number
    }
  | { readonly kind: "restart"; readonly atMs: number; readonly node: number; readonly graceMs: number }
  | { readonly kind: "pause"; readonly atMs: number; readonly node: number; readonly forMs: number }
  | { readonly kind: "stall"; readonly atMs: number; readonly node: number; readonly forMs: number }
  | { readonly kind: "break"; readonly atMs: number; readonly node: number }

/** The server is killed, and is back after a while. */
export interface ServerFault {
  readonly kind: "server-crash"
  readonly atMs: number
  readonly downMs: number
  readonly forgetsMs: number
}

/** Something that goes wrong. */
export type Fault = NodeFault | ServerFault

/** All that a seed decides before the run begins. */
export interface Scenario {
  readonly nodes: number
  readonly shapes: readonly Shape[]
  readonly inputs: readonly Input[]
  readonly faults: readonly Fault[]
  readonly plans: PlanOptions
  readonly links: LinkOptions
  readonly dedupWindowMs: number
  /** When the dead letters are sent back. */
  readonly retriesAtMs: readonly number[]
  /** Whether a node can be behind what others have done. */
  readonly zombies: boolean
}

type Kind = Fault["kind"]

const KINDS: readonly Kind[] = ["crash", "crash-at-entry", "restart", "pause", "stall", "break", "server-crash"]
/** After these a node may work on while another one has taken over: also one that has no time left to stop in order. */
const MAKE_ZOMBIES: readonly Kind[] = ["restart", "pause", "stall", "break", "server-crash"]
const DEDUP_WINDOW_MS = 3_000

/** The scenario of a seed. */
export function scenarioOf(seed: string): Scenario {
  const random = new Random(`scenario ${seed}`)
  const spanMs = random.pick([200, 2_000, 20_000])
  const nodes = random.int(1, 3)
  const faults = faultsOf(random, spanMs, nodes)
  return {
    nodes,
    shapes: Array.from({ length: random.int(1, 3) }, () => shapeOf(random)),
    inputs: inputsOf(random, spanMs),
    faults,
    plans: {
      ...{ waits: random.chance(0.4), fails: random.chance(0.5), slowCalls: random.chance(0.3) },
      thinks: random.fork("minds").chance(0.5),
    },
    links: {
      answerLoss: random.pick([0, 0, 0.05]),
      slow: random.pick([0, 0, 0.05]),
      latencyMs: random.pick([
        [0.1, 3],
        [0.1, 30],
      ]),
    },
    dedupWindowMs: DEDUP_WINDOW_MS,
    retriesAtMs: random.pick([[], [], [spanMs], [spanMs * 2, spanMs * 2 + random.pick([50, 5_000])]]),
    zombies: faults.some(({ kind }) => MAKE_ZOMBIES.includes(kind)),
  }
}

function shapeOf(random: Random): Shape {
  const ordering = random.chance(0.2) ? "none" : "key"
  const partitions = ordering === "key" && random.chance(0.15) ? 8 : 1
  return { ordering, partitions, stateful: random.chance(0.8), cold: random.chance(0.3) }
}

function inputsOf(random: Random, spanMs: number): Input[] {
  const keys = KEYS.slice(0, random.int(1, KEYS.length))
  const repeats = random.pick([0, 0, 0.3])
  return Array.from({ length: random.int(2, 8) }, (_, n) => {
    const atMs = random.between(0, spanMs)
    const again = random.chance(repeats) ? atMs + random.pick([1, 500, DEDUP_WINDOW_MS + 1_000]) : undefined
    return { id: `given ${n}`, key: random.pick(keys), atMs, againAtMs: again }
  })
}

function faultsOf(random: Random, spanMs: number, nodes: number): Fault[] {
  // few kinds at a time: then it also happens that the same thing goes wrong again and again
  const kinds = [random.pick(KINDS), random.pick(KINDS), random.pick(KINDS)]
  const count = random.pick([0, 1, 1, 2, 2, 3, 5])
  return Array.from({ length: count }, () => faultOf(random, random.pick(kinds), spanMs * 1.5, nodes))
}

function faultOf(random: Random, kind: Kind, spanMs: number, nodes: number): Fault {
  const atMs = random.between(0, spanMs)
  const node = random.int(0, nodes - 1)
  const aWhile = (): number => random.pick([200, 2_000, 6_000, 40_000]) * random.between(0.5, 1.5)
  switch (kind) {
    case "crash":
      return { kind, atMs, node, backAfterMs: aWhile() }
    case "crash-at-entry":
      return { kind, atMs, node, entry: random.int(1, 60), backAfterMs: aWhile() }
    case "restart":
      return { kind, atMs, node, graceMs: random.pick([0, 100, 5_000]) }
    case "pause":
    case "stall":
      return { kind, atMs, node, forMs: aWhile() }
    case "break":
      return { kind, atMs, node }
    case "server-crash":
      return { kind, atMs, downMs: random.between(100, 4_000), forgetsMs: random.pick([0, 100, 500]) }
  }
}
