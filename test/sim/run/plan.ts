import { Random } from "../world/random.js"

/** What a step does: it follows from the seed, the agent and the event alone, as a handler's steps have to. */
export interface Plan {
  /** How long each paid call takes, in milliseconds. */
  readonly calls: readonly number[]
  /** Whether the first two calls run side by side. */
  readonly sideBySide: boolean
  /** It sleeps before this call; none when it is as large as the number of calls plus one. */
  readonly sleepsBefore: number
  readonly sleepMs: number
  /** It asks a person before this call, in the same way. */
  readonly asksBefore: number
  readonly askTimeoutMs: number
  readonly fails: "never" | "sometimes" | "always" | "for-good"
  /** It fails before this call. */
  readonly failsBefore: number
  /** The key of each event that it emits. */
  readonly emits: readonly Key[]
}

/** How wild the steps of a run are. */
export interface PlanOptions {
  readonly waits: boolean
  readonly fails: boolean
  readonly slowCalls: boolean
  /** Whether they ask models. */
  readonly thinks: boolean
}

/** The entity that an event is about, if it is about one. */
export type Key = string | undefined

export const KEYS: readonly Key[] = ["a", "b", undefined, "c"]

/** What the step of an agent for an event does. */
export function planOf(seed: string, agent: string, eventId: string, options: PlanOptions): Plan {
  const random = new Random(`${seed} ${agent} ${eventId}`)
  const count = random.pick([0, 1, 1, 1, 2, 3])
  const calls = Array.from({ length: count }, () => duration(random, options.slowCalls))
  const sleeps = random.chance(0.15) && options.waits
  const asks = random.chance(0.15) && options.waits
  return {
    calls,
    sideBySide: count >= 2 && random.chance(0.3),
    sleepsBefore: sleeps ? random.int(0, count) : count + 1,
    sleepMs: random.pick([5, 300, 5_000]),
    asksBefore: asks ? random.int(0, count) : count + 1,
    askTimeoutMs: random.pick([50, 3_000]),
    fails: options.fails
      ? random.pick(["never", "never", "never", "never", "sometimes", "always", "for-good"])
      : "never",
    failsBefore: random.int(0, count),
    emits: Array.from({ length: random.pick([0, 1, 1, 2]) }, () => random.pick(KEYS)),
  }
}

function duration(random: Random, slow: boolean): number {
  if (slow && random.chance(0.05)) return 30_000 // longer than a step may take
  return random.pick([1, 20, 100, slow ? 4_000 : 400]) * random.between(0.5, 1.5)
}
