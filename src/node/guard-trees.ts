import type { z } from "zod"
import type { Tripped } from "../agents/dead-letters.js"
import { isLoopGuard } from "../agents/guards/guard-tripped.js"
import { amountText, isMoney, TREE_BUDGETS } from "../agents/guards/limits.js"
import type { Bus } from "../bus/bus.js"
import type { BusCore } from "../bus/bus-core.js"
import { ensureError, errorCode, MurmurError } from "../errors.js"
import { DeadLetterRetry, DeadLetters, type StoredLetter } from "./dead-letter-store.js"
import { BucketGuardRecords } from "./guard-records.js"
import { countersOf, readLimits } from "./guards.js"

/** One guard that stopped steps of a tree: how it was when it did so last. */
export interface TrippedGuard {
  readonly guard: string
  readonly limit: number
  readonly used: number
  /** What was refused, of a budget: it is counted in `used`. */
  readonly refused: number
  readonly letters: number
}

/** A causal tree of which events lie in the dead letters since a guard stopped their steps. */
export interface TrippedTree {
  /** Id of its root event. */
  readonly root: string
  readonly guards: readonly TrippedGuard[]
  readonly agents: readonly string[]
  /** The path of the newest event that was stopped, its agent included. */
  readonly path: readonly string[]
  readonly letters: number
  /** When the first and the last event were stopped, RFC 3339. */
  readonly first: string
  readonly last: string
}

/** How much more a tree may use, by guard: `hops`, `cycles`, or a kind of its budget (`microusd`: millionths of a dollar). */
export type Grants = Readonly<Record<string, number>>

/** What became of a tree that was resumed. */
export interface Resumed {
  readonly root: string
  readonly granted: Grants
  /** Events that go on, by their dead letter. */
  readonly retried: readonly {
    readonly id: string
    readonly agent: string
    readonly event: string
    readonly seq: number
  }[]
  readonly failed: readonly {
    readonly id: string
    readonly error: { readonly code: string; readonly message: string }
  }[]
  /** Guards that stopped other events of the tree and were granted nothing: those stay in the dead letters. */
  readonly waiting: readonly TrippedGuard[]
}

const PREFIX_MIN = 6
/** How long one event is tried, in milliseconds. */
const PUBLISH_MS = 10_000

/** The trees that guards have stopped, in the order in which they were; as far as the dead letters hold them. */
export async function trippedTrees(bus: BusCore, signal?: AbortSignal): Promise<TrippedTree[]> {
  const trees = new Map<string, TrippedTree>()
  for await (const { letter } of new DeadLetters(bus).list({}, signal)) {
    const { guard: trip, at } = letter
    if (trip !== undefined) trees.set(trip.root, withTrip(trees.get(trip.root), trip, at))
  }
  return [...trees.values()]
}

function withTrip(tree: TrippedTree | undefined, trip: z.infer<typeof Tripped>, at: string): TrippedTree {
  const before = tree?.guards.find(({ guard }) => guard === trip.guard)
  const { guard, limit, used, refused = 0 } = trip
  const now = {
    ...{ guard, limit: Math.max(limit, before?.limit ?? 0), used: Math.max(used, before?.used ?? 0) },
    refused: (before?.refused ?? 0) + refused,
    letters: (before?.letters ?? 0) + 1,
  }
  return {
    root: trip.root,
    guards: [...(tree?.guards ?? []).filter((other) => other !== before), now],
    agents: [...new Set([...(tree?.agents ?? []), trip.agent])],
    path: [...trip.path, trip.agent],
    letters: (tree?.letters ?? 0) + 1,
    first: tree?.first ?? at,
    last: at,
  }
}

/**
 * Lets a tree go on that guards have stopped: grants it more, and sends its events back to their agents.
 *
 * @param id of its root event, or the first characters of it (at least six)
 * @param grants how much more; without any, as much again: of the hops or cycles that stopped it, and of all budgets when
 *   one did
 * @throws MurmurError `GUARD_ROOT_UNKNOWN`, `GUARD_ROOT_AMBIGUOUS`, `GUARD_GRANT` when a guard is unknown or a number no whole one >= 1
 * @example
 * const { retried } = await resumeTree(bus, "0199f3…", { events: 5_000 })
 */
export async function resumeTree(bus: Bus, id: string, grants: Grants = {}, signal?: AbortSignal): Promise<Resumed> {
  checkGrants(grants)
  const tree = treeOf(id, await trippedTrees(bus, signal))
  const limits = await readLimits(bus)
  const granted = Object.keys(grants).length > 0 ? grants : asMuchAgain(tree, limits)
  await grant(bus, tree, granted, limits)
  return { root: tree.root, granted, ...(await retry(bus, tree, granted, signal)) }
}

const GRANTABLE = ["hops", "cycles", ...TREE_BUDGETS]

function checkGrants(grants: Grants): void {
  for (const [guard, amount] of Object.entries(grants)) {
    const why = !GRANTABLE.includes(guard)
      ? `there is no such guard (known: ${GRANTABLE.join(", ")})`
      : !(Number.isSafeInteger(amount) && amount >= 1)
        ? "it must be a whole number >= 1"
        : undefined
    if (why === undefined) continue
    throw new MurmurError(`Cannot grant ${String(amount)} more ${guard}: ${why}`, {
      code: "GUARD_GRANT",
      details: { guard },
    })
  }
}

function treeOf(id: string, trees: readonly TrippedTree[]): TrippedTree {
  const exact = trees.find(({ root }) => root === id)
  const close = trees.filter(({ root }) => id.length >= PREFIX_MIN && root.startsWith(id))
  const [first, second] = exact === undefined ? close : [exact]
  if (first === undefined) {
    throw new MurmurError(`No guard has stopped a tree with the root event "${id}" (see "murmur guard ls")`, {
      code: "GUARD_ROOT_UNKNOWN",
      details: { root: id },
    })
  }
  if (second === undefined) return first
  const roots = close.slice(0, 5).map(({ root }) => root)
  throw new MurmurError(`Several roots begin with "${id}": ${roots.join(", ")}`, {
    code: "GUARD_ROOT_AMBIGUOUS",
    details: { root: id },
  })
}

/** Budgets go together: who may emit more has to be handled as well. */
function asMuchAgain({ guards }: TrippedTree, limits: Grants): Grants {
  const loops = guards.filter(({ guard }) => isLoopGuard(guard)).map(({ guard, limit }) => [guard, limit] as const)
  const some = guards.some(({ guard }) => TREE_BUDGETS.includes(guard))
  const budgets = Object.entries(limits).filter(
    ([kind, limit]) => TREE_BUDGETS.includes(kind) && Number.isFinite(limit),
  )
  return Object.fromEntries([...loops, ...(some ? budgets : [])].map(([guard, limit]) => [guard, Math.max(1, limit)]))
}

/**
 * Whether events that a guard has stopped are sent back: when their tree was granted more; and always when the budget was
 * not the tree's but that of a day or month, which is over or was raised, or stops them once more.
 */
function goesOn(guard: string, granted: Grants): boolean {
  return granted[guard] !== undefined || !GRANTABLE.includes(guard)
}

/**
 * Hops and cycles are granted on top of each agent's own limit. A budget is granted as a total. What was refused stays
 * counted and was not used, and what is sent back pays for its step a second time: the new total has room for both.
 */
async function grant(bus: BusCore, { root, guards }: TrippedTree, grants: Grants, limits: Grants): Promise<void> {
  const { hops = 0, cycles = 0, ...given } = grants
  const sentBack = guards.filter(({ guard }) => goesOn(guard, grants) && guard !== "steps")
  const again = sentBack.reduce((sum, { letters }) => sum + letters, 0)
  const budgets = { ...given, steps: (given.steps ?? 0) + again }
  const counted: Record<string, number> = {}
  for (const kind of Object.keys(budgets)) counted[kind] = await countersOf(bus).total({ root, kind })
  const totalOf = (kind: string, amount: number, before: number): number => {
    const refused = guards.find(({ guard }) => guard === kind)?.refused ?? 0
    return Math.max(finite(limits[kind]), before, (counted[kind] ?? 0) - refused) + refused + amount
  }
  const records = await BucketGuardRecords.open(bus)
  await records.grant(root, (before) => ({
    hops: before.hops + hops,
    cycles: before.cycles + cycles,
    budgets: {
      ...before.budgets,
      ...Object.fromEntries(
        Object.entries(budgets).map(([kind, amount]) => [kind, totalOf(kind, amount, before.budgets[kind] ?? 0)]),
      ),
    },
  }))
}

/** A grant is looked up beyond a limit only; where there is none, it says nothing. */
function finite(limit = 0): number {
  return Number.isFinite(limit) ? limit : 0
}

async function retry(bus: Bus, tree: TrippedTree, granted: Grants, signal: AbortSignal | undefined) {
  const letters = new DeadLetters(bus)
  const sender = new DeadLetterRetry(bus, letters)
  const retried: Resumed["retried"][number][] = []
  const failed: Resumed["failed"][number][] = []
  for await (const stored of letters.list({}, signal)) {
    const { id, agent, event, guard: trip } = stored.letter
    if (trip === undefined || trip.root !== tree.root || !goesOn(trip.guard, granted)) continue
    try {
      retried.push({ id, agent, event: event.id, seq: await send(sender, stored) })
    } catch (error) {
      failed.push({ id, error: { code: errorCode(error), message: ensureError(error).message } })
    }
  }
  return { retried, failed, waiting: tree.guards.filter(({ guard }) => !goesOn(guard, granted)) }
}

async function send(sender: DeadLetterRetry, stored: StoredLetter): Promise<number> {
  return (await sender.retry(stored, PUBLISH_MS)).seq
}

/** What a guard says that it saw, in a few words: `hops 17 of 16`. */
export function trippedText({ guard, used, limit }: Pick<TrippedGuard, "guard" | "used" | "limit">): string {
  if (isLoopGuard(guard)) return `${guard} ${used} of ${limit}`
  if (!isMoney(guard)) return `${guard} budget ${used} of ${limit}`
  return `${guard.replace("microusd", "usd")} budget ${amountText(guard, used)} of ${amountText(guard, limit)}`
}
