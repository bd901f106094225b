import { Recent } from "./recent.js"

/** How much of a kind a node lets each tree have without asking the mesh. */
const FREE = 16
/** And never more than this part of the limit. */
const PART = 8
const ROOTS = 4_000

/**
 * What small trees use without anybody counting it: the first few units of each root and kind on this node are free, and
 * cost a lookup in a map. A tree that needs more is counted by the mesh from then on, and what it had before is charged
 * with its first reservation.
 *
 * So what a tree really uses is bounded. Let L be the limit. A reservation goes through only when the total, itself
 * included, is at most L, and totals only grow: so all that went through is at most L together. What was free on a node,
 * at most F = min(16, L/8), is charged with its first reservation, and so among the L when that goes through. Hence at
 * most L, and F more for each node that took part and never asked, or asked first when the tree was stopped already. A
 * node that forgets the root (a restart, or 4,000 other roots since it last saw this one) counts as another one.
 */
export class Allowance {
  readonly #used = new Recent<Record<string, number>>(ROOTS)

  /**
   * Takes an amount.
   *
   * @param limit of the kind, for the whole tree
   * @returns what has to be charged: 0 when it is free, else the amount and what was free before
   */
  take(root: string, kind: string, amount: number, limit: number): number {
    if (limit === Number.POSITIVE_INFINITY) return 0
    let used = this.#used.get(root)
    if (used === undefined) {
      used = {}
      this.#used.set(root, used)
    }
    const before = used[kind] ?? 0
    if (before < 0) return amount // charged before
    const after = before + amount
    if (after <= freeOf(limit)) {
      used[kind] = after
      return 0
    }
    used[kind] = -1
    return after
  }

  /** Takes a charge back that could not be made: whoever asks next makes it. */
  owe(root: string, kind: string, amount: number): void {
    const used = this.#used.get(root)
    if (used !== undefined && amount > 0) used[kind] = Math.max(0, used[kind] ?? 0) + amount
  }
}

/** How much a node lets a tree have uncounted, for a limit. */
export function freeOf(limit: number): number {
  return Math.min(FREE, Math.floor(limit / PART))
}
