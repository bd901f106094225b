import type { Estimate, Meter, Reservation } from "../../gateways/broker/broker.js"
import type { Payer } from "./accounts.js"
import type { GuardTripped } from "./guard-tripped.js"
import type { Overspent } from "./reserving.js"
import type { Spending } from "./spending.js"

/** Counts what models cost, for one step. */
export interface StepMeter extends Meter {
  /**
   * Why a budget has stopped the step: a handler may have caught the error, but what goes on without its answer must not
   * be committed. Whoever runs the step throws it again.
   */
  readonly exceeded: GuardTripped | undefined
}

/** The meter of one step: what the tree, the agent and the mesh may spend, side by side. */
export class BudgetMeter implements StepMeter {
  readonly active = true
  #exceeded: GuardTripped | undefined

  constructor(
    private readonly payer: Payer,
    private readonly spending: Pick<Spending, "reserve">,
    private readonly tripped: (over: Overspent) => Promise<GuardTripped>,
  ) {}

  get exceeded(): GuardTripped | undefined {
    return this.#exceeded
  }

  async reserve(estimate: Estimate): Promise<Reservation> {
    if (this.#exceeded !== undefined) throw this.#exceeded // its other calls have no effect any more
    const reserved = await this.spending.reserve(this.payer, estimate)
    if ("settle" in reserved) return reserved
    this.#exceeded ??= await this.tripped(reserved)
    throw this.#exceeded
  }
}
