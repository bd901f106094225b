import type { MurmurEvent } from "../../bus/event.js"
import { derivedId } from "../../bus/ids.js"
import { systemClock, waitAtMost } from "../clock.js"
import { Announcer } from "./announcer.js"
import { Budget } from "./budget.js"
import { BudgetExceeded, GuardTripped, isLoopGuard, type Trip } from "./guard-tripped.js"
import { BudgetMeter, type StepMeter } from "./meter.js"
import type { GuardPorts } from "./ports.js"
import { Spending } from "./spending.js"

export type { StepMeter } from "./meter.js"

/** What the guards have to know of an agent. */
export interface GuardedAgent {
  readonly name: string
  readonly hopsMax: number
  readonly cyclesWarn: number
  readonly cyclesMax: number
}

/** The guards as one agent's steps meet them. They answer with nothing where there is nothing to wait for. */
export interface StepGuards {
  /**
   * Asked before the handler of an event runs for the first time; not for a step that is committed already.
   *
   * @throws GuardTripped (as a rejection) when the step may not run
   */
  admit(event: MurmurEvent): Promise<void> | undefined
  /**
   * Asked before the outputs of a step are committed and published.
   *
   * @param count how many there are
   * @throws GuardTripped (as a rejection) when they may not be
   */
  reserveOutputs(event: MurmurEvent, count: number): Promise<void> | undefined
  /** Counts what the step on an event spends on models, and stops it before it spends too much. One a step. */
  meter(event: MurmurEvent): StepMeter
}

/**
 * The guards of a node: they stop what multiplies without end, be it deep, in circles or wide, and nothing else. A step
 * that may go on costs a few comparisons; only trees that have grown ask the mesh.
 */
export class Guards {
  readonly #budget: Budget
  readonly #announcer: Announcer
  readonly #spending: Spending

  constructor(private readonly ports: GuardPorts) {
    this.#budget = new Budget(ports)
    this.#spending = new Spending(ports)
    this.#announcer = new Announcer(ports)
  }

  /** The guards of one agent. Budgets are shared by all agents of the node. */
  of(agent: GuardedAgent): StepGuards {
    return new AgentGuards(agent, this.ports, {
      budget: this.#budget,
      announcer: this.#announcer,
      spending: this.#spending,
    })
  }

  /**
   * Resolves when all that was spent is counted. For the node, when it stops: before the bus is closed.
   *
   * @param waitMs how long to wait for a bus that is away, in milliseconds; what is not counted then counts as it was
   *   reserved. Default 5_000
   */
  flush(waitMs = 5_000): Promise<void> {
    return waitAtMost(this.ports.clock ?? systemClock, waitMs, this.#spending.flush())
  }
}

/** What is too much of something, and by how much. */
type Excess = Pick<Trip, "limit" | "used" | "refused" | "period">

/** What all agents of a node share. */
interface Shared {
  readonly budget: Budget
  readonly announcer: Announcer
  readonly spending: Spending
}

class AgentGuards implements StepGuards {
  constructor(
    private readonly agent: GuardedAgent,
    private readonly ports: GuardPorts,
    private readonly shared: Shared,
  ) {}

  admit(event: MurmurEvent): Promise<void> | undefined {
    const { hopsMax, cyclesWarn, cyclesMax } = this.agent
    const cycles = cyclesOf(this.agent.name, event)
    if (event.hops > hopsMax || cycles > cyclesMax) return this.#admitDeep(event, cycles)
    if (cycles >= cyclesWarn) this.#warn(event, cycles)
    return this.#reserveStep(event)
  }

  reserveOutputs(event: MurmurEvent, count: number): Promise<void> | undefined {
    return count === 0 ? undefined : this.#reserve(event, "events", count)
  }

  meter(event: MurmurEvent): StepMeter {
    const payer = { root: event.correlationid, agent: this.agent.name }
    return new BudgetMeter(payer, this.shared.spending, (over) => this.#tripped(event, over.guard, over))
  }

  /** Beyond a limit of the agent: an operator may have granted this tree more. */
  async #admitDeep(event: MurmurEvent, cycles: number): Promise<void> {
    const grant = await this.ports.records.grantOf(event.correlationid)
    const hopsMax = this.agent.hopsMax + (grant?.hops ?? 0)
    if (event.hops > hopsMax) await this.#trip(event, "hops", { limit: hopsMax, used: event.hops })
    const cyclesMax = this.agent.cyclesMax + (grant?.cycles ?? 0)
    if (cycles > cyclesMax) await this.#trip(event, "cycles", { limit: cyclesMax, used: cycles })
    await this.#reserveStep(event)
  }

  /** The steps on the root itself are not counted: there are as many as agents react to it, and nothing has multiplied. */
  #reserveStep(event: MurmurEvent): Promise<void> | undefined {
    return event.hops === 0 ? undefined : this.#reserve(event, "steps", 1)
  }

  #reserve(event: MurmurEvent, kind: string, amount: number): Promise<void> | undefined {
    const root = event.correlationid
    // by its place in the stream, too: a dead letter that is tried again has another, and pays anew
    const id = (): string => derivedId("reserve", kind, this.agent.name, event.id, event.seq, amount)
    const reserved = this.shared.budget.reserve(root, kind, amount, id)
    return reserved?.then((excess) => (excess === undefined ? undefined : this.#trip(event, kind, excess)))
  }

  async #trip(event: MurmurEvent, guard: string, excess: Excess): Promise<never> {
    throw await this.#tripped(event, guard, excess)
  }

  /** Tells the mesh. @returns what stops the step */
  async #tripped(event: MurmurEvent, guard: string, excess: Excess): Promise<GuardTripped> {
    const { limit, used, refused, period } = excess
    const trip: Trip = {
      ...{ ...this.#seen(event), guard, limit, used },
      ...(refused !== undefined && { refused }),
      ...(period !== undefined && { period }),
    }
    await this.shared.announcer.tripped(trip, event)
    return isLoopGuard(guard) ? new GuardTripped(event.id, trip) : new BudgetExceeded(event.id, trip)
  }

  #warn(event: MurmurEvent, cycles: number): void {
    const { cyclesMax } = this.agent
    this.shared.announcer.warned({ ...this.#seen(event), guard: "cycles", limit: cyclesMax, used: cycles }, event)
  }

  #seen({ correlationid, path }: MurmurEvent): Pick<Trip, "root" | "agent" | "path"> {
    return { root: correlationid, agent: this.agent.name, path }
  }
}

/** How often an agent has been triggered by its own descendants, if this event triggers it. */
export function cyclesOf(agent: string, { path }: Pick<MurmurEvent, "path">): number {
  let cycles = 0
  for (const name of path) if (name === agent) cycles += 1
  return cycles
}
