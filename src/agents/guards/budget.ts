import { Allowance } from "./allowance.js"
import type { GuardPorts } from "./ports.js"

/** A reservation that the budget has no room for. */
export interface Excess {
  readonly limit: number
  /** What the tree would have used with it. */
  readonly used: number
  readonly refused: number
}

/**
 * The budgets of causal trees: whatever multiplies is reserved before it is used, on counters that all nodes share. Small
 * trees are free ({@link Allowance}).
 *
 * What is refused stays counted. So a tree that has hit its limit stays there, on all nodes, until somebody grants it
 * more: a grant is the total up to which it may go, and looked up only beyond the limit.
 */
export class Budget {
  readonly #allowance = new Allowance()

  constructor(private readonly ports: Pick<GuardPorts, "counters" | "records" | "limits">) {}

  /**
   * Reserves an amount of a kind for the tree of a root event.
   *
   * @param amount an integer >= 1
   * @param id made when the mesh has to be asked: the same id is charged once, within the dedup window
   * @returns nothing where there is nothing to wait for; else what it is too much by, if it is
   */
  reserve(root: string, kind: string, amount: number, id: () => string): Promise<Excess | undefined> | undefined {
    const limit = this.ports.limits.of(kind)
    const charge = this.#allowance.take(root, kind, amount, limit)
    return charge === 0 ? undefined : this.#charge({ root, kind }, { amount, charge, limit }, id())
  }

  async #charge(
    counter: { readonly root: string; readonly kind: string },
    { amount, charge, limit }: { readonly amount: number; readonly charge: number; readonly limit: number },
    id: string,
  ): Promise<Excess | undefined> {
    const { root, kind } = counter
    let used: number
    try {
      used = await this.ports.counters.add(counter, charge, id)
    } catch (error) {
      this.#allowance.owe(root, kind, charge - amount)
      throw error
    }
    if (used <= limit) return undefined
    const granted = (await this.ports.records.grantOf(root))?.budgets[kind] ?? 0
    return used <= granted ? undefined : { limit: Math.max(limit, granted), used, refused: amount }
  }
}
