import type { CounterName } from "../../bus/counters.js"
import { freshId } from "../../bus/ids.js"
import type { Clock } from "../clock.js"
import type { Account } from "./accounts.js"
import type { Corrections } from "./corrections.js"
import { kindOf } from "./limits.js"
import { OpenReservations } from "./open-reservations.js"
import type { GuardPorts } from "./ports.js"

/** A reservation that some budget has no room for. */
export interface Overspent {
  /** The kind of the budget: `tokens`, `day-microusd`, ... */
  readonly guard: string
  readonly limit: number
  /** What would be used with it. */
  readonly used: number
  readonly period?: string
}

/** One part of a reservation. */
export interface Charge extends Account {
  readonly limit: string
  /** An integer >= 1. */
  readonly amount: number
}

type Tried = { readonly room: true } | { readonly room: false; readonly charge: Charge; readonly over: Overspent }

/** A reservation that does not fit beside others which are taken back in the same moment is made again. */
const AGAIN_MAX = 4
const AGAIN_MS = 20
/** How long a reservation waits for others of this node to be settled; providers have answered by then, or never will. */
const WAIT_MS_MAX = 150_000

/**
 * Adds charges to counters, all or none, as far as their limits go. An addition and the question for the total are one
 * round trip, for all counters side by side; what does not fit is taken back.
 */
export class Reserving {
  readonly open = new OpenReservations()

  constructor(
    private readonly ports: Pick<GuardPorts, "counters" | "records" | "limits">,
    private readonly clock: Clock,
    private readonly corrections: Corrections,
  ) {}

  /** Waits while other reservations of this node stand in the way: they may come to less than was reserved for them. */
  async reserve(charges: readonly Charge[]): Promise<Overspent | undefined> {
    if (charges.length === 0) return undefined
    const deadline = this.clock.now() + WAIT_MS_MAX
    let waited: CounterName | undefined
    for (;;) {
      const before = this.open.ended
      const tried = await this.#tryAgain(charges)
      if (tried.room) {
        if (waited !== undefined) this.open.next(waited)
        return undefined
      }
      if (this.open.ended !== before) continue // one was settled meanwhile
      const { counter } = tried.charge
      const { used, limit } = tried.over
      const waitMs = deadline - this.clock.now()
      if (this.open.amountOf(counter) < used - limit || waitMs <= 0) return tried.over
      waited = counter
      await this.open.change(counter, this.clock, waitMs)
    }
  }

  async #tryAgain(charges: readonly Charge[]): Promise<Tried> {
    for (let failures = 0; ; failures++) {
      const { tried, free } = await this.#try(charges)
      if (tried.room || !free || failures >= AGAIN_MAX) return tried
      await this.clock.delay(AGAIN_MS * (failures + Math.random()))
    }
  }

  /** @returns whether there was room; and where there was none, whether there is now that it is taken back */
  async #try(charges: readonly Charge[]): Promise<{ readonly tried: Tried; readonly free: boolean }> {
    const totals = await this.#addAll(charges)
    let tried: Tried | undefined
    try {
      tried = await this.#judge(charges, totals)
    } finally {
      if (tried === undefined) this.#takeBack(charges)
    }
    if (tried.room) return { tried, free: false }
    const { counters } = this.ports
    const taking = charges.map(({ counter, amount }) => counters.add(counter, -amount, freshId()))
    const left = await this.corrections.track(Promise.all(taking))
    const withIt = charges.map(({ amount }, at) => (left[at] ?? 0) + amount)
    return { tried, free: (await this.#judge(charges, withIt)).room }
  }

  async #addAll(charges: readonly Charge[]): Promise<number[]> {
    const { counters } = this.ports
    const adding = charges.map(({ counter, amount }) => counters.add(counter, amount, freshId()))
    const added = await Promise.allSettled(adding)
    const failed = added.find((one) => one.status === "rejected")
    if (failed === undefined) return added.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []))
    this.#takeBack(charges.filter((_, at) => added[at]?.status === "fulfilled"))
    throw failed.reason
  }

  #takeBack(charges: readonly Charge[]): void {
    for (const { counter, amount } of charges) void this.corrections.add(counter, -amount)
  }

  async #judge(charges: readonly Charge[], totals: readonly number[]): Promise<Tried> {
    for (const [at, charge] of charges.entries()) {
      const used = totals[at] ?? 0
      const limit = this.ports.limits.of(charge.limit)
      if (used <= limit) continue
      const allowed = Math.max(limit, await this.#grantOf(charge))
      if (used <= allowed) continue
      const { period } = charge
      const over = { guard: kindOf(charge.limit), limit: allowed, used, ...(period !== undefined && { period }) }
      return { room: false, charge, over }
    }
    return { room: true }
  }

  /** Trees alone can be granted more. */
  async #grantOf({ counter }: Charge): Promise<number> {
    if (!("root" in counter)) return 0
    return (await this.ports.records.grantOf(counter.root))?.budgets[counter.kind] ?? 0
  }
}
