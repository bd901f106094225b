import { Allowance } from "./allowance.js"
import type { GuardPorts } from "./ports.js"

/** A reservation that the budget has no room for. */
export interface Excess {
  readonly limit: number
  /** What the tree would have used with it. */
  readonly used: number
  readonly refused: number
}

/** One thing that is to be used. */
export interface Reservation {
  /** Id of the root event that pays. */
  readonly root: string
  readonly kind: string
  /** An integer >= 1. */
  readonly amount: number
  /** The same id is charged once, within the mesh's dedup window. */
  readonly id: () => string
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

  /** @returns nothing where there is nothing to wait for; else what it is too much by, if it is */
  reserve(reservation: Reservation): Promise<Excess | undefined> | undefined {
    const { root, kind, amount } = reservation
    const limit = this.ports.limits.of(kind)
    if (limit === Number.POSITIVE_INFINITY) return undefined
    const charge = this.#allowance.take(root, kind, amount, limit)
    return charge === 0 ? undefined : this.#charge(reservation, charge, limit)
  }

  async #charge({ root, kind, amount, id }: Reservation, charge: number, limit: number): Promise<Excess | undefined> {
    let used: number
    try {
      used = await this.ports.counters.add({ root, kind }, charge, id())
    } catch (error) {
      this.#allowance.owe(root, kind, charge - amount)
      throw error
    }
    if (used <= limit) return undefined
    const granted = (await this.ports.records.grantOf(root))?.budgets[kind] ?? 0
    return used <= granted ? undefined : { limit: Math.max(limit, granted), used, refused: amount }
  }
}
