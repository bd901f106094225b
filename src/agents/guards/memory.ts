import type { CounterName, CounterPort } from "../../bus/counters.js"
import type { EventDraft } from "../../bus/event.js"
import { noTelemetry } from "../../telemetry/ports.js"
import { counterText } from "./accounts.js"
import { Guards } from "./guards.js"
import { BudgetLimits } from "./limits.js"
import type { Grant, GuardPorts, GuardRecords } from "./ports.js"

/** Counters in memory, for one process. */
export class MemoryCounters implements CounterPort {
  readonly #totals = new Map<string, number>()
  readonly #ids = new Set<string>()

  async add(counter: CounterName, amount: number, id: string): Promise<number> {
    const name = counterText(counter)
    const before = this.#totals.get(name) ?? 0
    if (this.#ids.has(id)) return before
    this.#ids.add(id)
    this.#totals.set(name, before + amount)
    return before + amount
  }

  async total(counter: CounterName): Promise<number> {
    return this.#totals.get(counterText(counter)) ?? 0
  }
}

/** What guards remember, in memory. */
export class MemoryRecords implements GuardRecords {
  readonly grants = new Map<string, Grant>()
  readonly #announced = new Set<string>()

  async grantOf(root: string): Promise<Grant | undefined> {
    return this.grants.get(root)
  }

  async wasAnnounced(id: string): Promise<boolean> {
    return this.#announced.has(id)
  }

  async setAnnounced(id: string): Promise<void> {
    this.#announced.add(id)
  }
}

/**
 * Guards that stand on nothing but memory: for tests of agents, and for models of the mesh. Nobody pays there, so money has
 * no limit, and a model needs no price.
 */
export function memoryGuards(ports: Partial<GuardPorts> = {}): Guards {
  const limits = new BudgetLimits()
  limits.set("microusd", Number.POSITIVE_INFINITY)
  return new Guards({
    counters: new MemoryCounters(),
    records: new MemoryRecords(),
    limits,
    publish: async (_draft: EventDraft) => {},
    telemetry: noTelemetry,
    ...ports,
  })
}
