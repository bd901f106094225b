import type { CounterName } from "../../bus/counters.js"
import { TerminalError } from "../../errors.js"
import type { Estimate, Reservation, Spent } from "../../gateways/broker/broker.js"
import { type Clock, systemClock } from "../clock.js"
import { type Account, accountsOf, type Payer } from "./accounts.js"
import { Corrections } from "./corrections.js"
import { kindOf } from "./limits.js"
import type { GuardPorts } from "./ports.js"
import { type Charge, type Overspent, Reserving } from "./reserving.js"
import { Tally } from "./tally.js"

/** A request that was reserved for. */
interface Call {
  readonly accounts: readonly Account[]
  readonly charges: readonly Charge[]
  readonly estimate: Estimate
}

/**
 * What models cost, on counters that all nodes share. Before a request its estimate is added to each budget that is
 * limited: the total that comes back says whether there was room, so that no two nodes can miss one another. After the
 * request the difference is added, without anybody waiting for it. What nobody limits is only counted.
 *
 * Let L be a limit. A request is sent only when the total, all that is reserved included, was at most L; and as what a
 * request comes to is at most what was reserved for it, what is spent never exceeds L. What is never settled, because a
 * process died, counts as spent.
 */
export class Spending {
  readonly #clock: Clock
  readonly #corrections: Corrections
  readonly #reserving: Reserving
  readonly #tally: Tally

  constructor(private readonly ports: Pick<GuardPorts, "counters" | "records" | "limits" | "telemetry" | "clock">) {
    this.#clock = ports.clock ?? systemClock
    this.#corrections = new Corrections(ports.counters, this.#clock, ports.telemetry.log)
    this.#reserving = new Reserving(ports, this.#clock, this.#corrections)
    this.#tally = new Tally(this.#clock, (counter, amount) => void this.#corrections.add(counter, amount))
  }

  /**
   * Reserves the most that a request may come to.
   *
   * @throws TerminalError `BUDGET_PRICE` when money is limited and the model has no known price
   */
  async reserve(payer: Payer, estimate: Estimate): Promise<Reservation | Overspent> {
    const accounts = accountsOf(payer, this.#clock.now())
    const charges = accounts.flatMap((account) => this.#charge(account, estimate) ?? [])
    const over = await this.#reserving.reserve(charges)
    if (over !== undefined) return over
    for (const { counter, amount } of charges) this.#reserving.open.begin(counter, amount)
    let settled = false
    return {
      settle: (spent) => {
        if (!settled) this.#settle({ accounts, charges, estimate }, spent)
        settled = true
      },
    }
  }

  /** Resolves when all that was settled is counted, or cannot be. */
  flush(): Promise<void> {
    this.#tally.flush()
    return this.#corrections.flush()
  }

  /** What an account has to be charged before the request; nothing where no limit holds. */
  #charge(account: Account, estimate: Estimate): Charge | undefined {
    const { limit, unit } = account
    if (limit === undefined || this.ports.limits.of(limit) === Number.POSITIVE_INFINITY) return undefined
    const amount = unit === "tokens" ? estimate.tokens : estimate.costMicroUsd
    if (amount === undefined) throw unpriced(estimate.model, limit)
    return amount === 0 ? undefined : { ...account, limit, amount }
  }

  #settle({ accounts, charges, estimate }: Call, spent: Spent | "nothing" | "unknown"): void {
    const { tokens, costMicroUsd } = spentOf(estimate, spent)
    const reserved = new Set<CounterName>()
    for (const { counter, unit, amount } of charges) {
      reserved.add(counter)
      const actual = unit === "tokens" ? tokens : (costMicroUsd ?? amount)
      const correcting = this.#corrections.add(counter, actual - amount)
      void correcting.then(() => this.#reserving.open.end(counter, amount))
    }
    for (const { counter, unit } of accounts) {
      if (!reserved.has(counter)) this.#tally.add(counter, unit === "tokens" ? tokens : (costMicroUsd ?? 0))
    }
  }
}

function spentOf(estimate: Estimate, spent: Spent | "nothing" | "unknown"): Spent {
  if (spent === "nothing") return { tokens: 0, costMicroUsd: 0 }
  return spent === "unknown" ? estimate : spent
}

function unpriced(model: string, limit: string): TerminalError {
  const scope = kindOf(limit).replace("microusd", "usd")
  const provider = model.split("/", 1)[0] ?? model
  return new TerminalError(
    `Cannot ask model "${model}": money is limited (${scope}), and nobody has said what this model costs. Say it in dollars a million tokens, 0 where it costs nothing: defineModels({ models: { "${model}": { price: { inputUsd, outputUsd } } } }), with "${provider}/*" for all of a provider. Or lift the limit: murmur guard limits --${scope} none`,
    { code: "BUDGET_PRICE", details: { model, limit: scope } },
  )
}
