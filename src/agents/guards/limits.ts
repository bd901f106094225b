const NONE = Number.POSITIVE_INFINITY

/**
 * What may be used unless an operator has set something else, by kind. Money is in millionths of a US dollar. The first
 * four are for all that descends from one root event; the others for each agent and UTC day, and for all agents of the mesh
 * together, by UTC day and UTC month.
 */
export const BUDGET_DEFAULTS: Readonly<Record<string, number>> = {
  events: 1_000,
  steps: 1_000,
  tokens: 2_000_000,
  microusd: 10_000_000,
  "agent-day-tokens": NONE,
  "agent-day-microusd": NONE,
  "day-tokens": NONE,
  "day-microusd": NONE,
  "month-tokens": NONE,
  "month-microusd": NONE,
}

/** The kinds of budget that a tree has, and can be granted more of. */
export const TREE_BUDGETS: readonly string[] = ["events", "steps", "tokens", "microusd"]

/** The kind of a limit that is for one agent alone: `agent-day-microusd=triage`. */
export function ofAgent(kind: string, agent: string): string {
  return `${kind}=${agent}`
}

/** A kind of limit without the agent that it is for. */
export function kindOf(limit: string): string {
  return limit.split("=", 1)[0] ?? limit
}

/** Whether an amount of a kind is money, and so in millionths of a dollar. */
export function isMoney(kind: string): boolean {
  return kind.endsWith("microusd")
}

/** An amount as people read it: `1000 events`, `2500000 tokens`, `$1.50`. */
export function amountText(kind: string, amount: number): string {
  if (amount === NONE) return "no limit"
  if (isMoney(kind)) return usdText(amount)
  return `${amount} ${kind.slice(kind.lastIndexOf("-") + 1)}`
}

/** An amount of money as people read it: `$1.50`, `$0.0004`. @param microUsd in millionths of a dollar */
export function usdText(microUsd: number): string {
  const cents = microUsd % 10_000 === 0 ? 2 : microUsd >= 1_000_000 ? 4 : 6
  return `$${(microUsd / 1_000_000).toFixed(cents)}`
}

/** The budgets of the mesh, by kind. The same on all nodes, as far as each has heard of the newest setting. */
export class BudgetLimits {
  readonly #set = new Map<string, number>()

  /** How much of a kind there is; `Infinity` where nobody has limited it. What is set for one agent wins. */
  of(limit: string): number {
    return this.#set.get(limit) ?? this.#set.get(kindOf(limit)) ?? BUDGET_DEFAULTS[kindOf(limit)] ?? NONE
  }

  /** Applies what an operator has set; `Infinity` is no limit, anything that is no amount restores the default. */
  set(limit: string, amount: unknown): void {
    const isAmount = amount === NONE || (Number.isSafeInteger(amount) && (amount as number) >= 0)
    if (isAmount) this.#set.set(limit, amount as number)
    else this.#set.delete(limit)
  }
}
