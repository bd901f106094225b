/** What all that descends from one root event may use, unless an operator has set something else. */
export const BUDGET_DEFAULTS: Readonly<Record<string, number>> = { events: 1_000, steps: 1_000 }

/** The budget of a root event, by kind. The same on all nodes, as far as each has heard of the newest setting. */
export class BudgetLimits {
  readonly #set = new Map<string, number>()

  /** How much of a kind there is; `Infinity` for a kind that nobody has limited. */
  of(kind: string): number {
    return this.#set.get(kind) ?? BUDGET_DEFAULTS[kind] ?? Number.POSITIVE_INFINITY
  }

  /** Applies what an operator has set; anything that is no amount restores the default. */
  set(kind: string, amount: unknown): void {
    if (typeof amount === "number" && Number.isSafeInteger(amount) && amount >= 0) this.#set.set(kind, amount)
    else this.#set.delete(kind)
  }
}
