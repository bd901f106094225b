import { between, seeded } from "./random.js"

/** Which node is struck: the one that made the latest call, or another. */
export type Target = "working" | "other"

/** Something that is done to the mesh, so long after the start of the disturbance. Times in milliseconds. */
export type Strike =
  /** SIGKILL; started again after a while. */
  | { readonly what: "kill"; readonly atMs: number; readonly node: Target; readonly backAfterMs: number }
  /** SIGSTOP, long enough for another to take over, then SIGCONT: it wakes up and does not know. */
  | { readonly what: "pause"; readonly atMs: number; readonly node: Target; readonly forMs: number }
  /** SIGKILL of the nats-server; started again at once. */
  | { readonly what: "server"; readonly atMs: number }

/** What happens to an event besides being published once. */
export type Again =
  | "no"
  /** Published again under its id: the server drops it. */
  | "same-id"
  /** Stored again, as is possible outside the dedup window: the agent has to know it. */
  | "stored"

/** One event to publish. */
export interface PlannedEvent {
  readonly n: number
  readonly atMs: number
  readonly key: string
  readonly again: Again
}

/** What a run does to its mesh. */
export interface ChaosPlan {
  readonly strikes: readonly Strike[]
  readonly events: readonly PlannedEvent[]
}

/** What a plan is made of. */
export interface PlanOptions {
  readonly seed: number
  readonly events: number
  /** How often a node is killed. Half as often one is stopped and woken; the server is killed at least once. */
  readonly kills: number
  /** How long events are published and the mesh is struck, in milliseconds. */
  readonly forMs: number
}

const KEYS = 25
const AGAIN_SHARE = 0.15
/** A server that ends more than five times in a minute is not started again. */
const SERVER_KILLS_MAX = 3
/** Longer than the three seconds after which another node takes over. */
const PAUSE_MS = [3_500, 5_000] as const

/** Plans a run. The same options give the same plan. */
export function planChaos({ seed, events, kills, forMs }: PlanOptions): ChaosPlan {
  const random = seeded(seed)
  return { strikes: planStrikes(random, kills, forMs), events: planEvents(random, events, forMs) }
}

function planStrikes(random: () => number, kills: number, forMs: number): Strike[] {
  const pauses = Math.ceil(kills / 2)
  const servers = kills === 0 ? 0 : Math.min(SERVER_KILLS_MAX, 1 + Math.floor(kills / 5))
  const kinds = [
    ...Array.from({ length: kills }, () => "kill" as const),
    ...Array.from({ length: pauses }, () => "pause" as const),
    ...Array.from({ length: servers }, () => "server" as const),
  ]
  const [from, to] = [forMs * 0.08, forMs * 0.95]
  const slotMs = (to - from) / kinds.length
  return shuffled(kinds, random).map((what, slot) => {
    const atMs = Math.round(from + slotMs * (slot + between(random, 0, 0.7)))
    const node: Target = random() < 0.8 ? "working" : "other"
    if (what === "kill") return { what, atMs, node, backAfterMs: Math.round(between(random, 50, 800)) }
    if (what === "pause") return { what, atMs, node, forMs: Math.round(between(random, ...PAUSE_MS)) }
    return { what, atMs }
  })
}

function planEvents(random: () => number, events: number, forMs: number): PlannedEvent[] {
  return Array.from({ length: events }, (_, n) => ({
    n,
    atMs: Math.round((forMs * n) / events),
    key: `customer-${Math.floor(random() * KEYS)}`,
    again: random() >= AGAIN_SHARE ? "no" : random() < 0.5 ? "same-id" : "stored",
  }))
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item)
}
