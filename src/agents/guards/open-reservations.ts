import type { CounterName } from "../../bus/counters.js"
import type { Clock } from "../clock.js"
import { counterText } from "./accounts.js"

interface Open {
  count: number
  /** Of all of them. */
  amount: number
  readonly waiting: (() => void)[]
}

/** The reservations of this node that are not settled, by counter, and who waits for them. */
export class OpenReservations {
  readonly #open = new Map<string, Open>()
  #ended = 0

  /** How many were settled so far. */
  get ended(): number {
    return this.#ended
  }

  /** How much is reserved and not settled: at most so much may come back. */
  amountOf(counter: CounterName): number {
    return this.#open.get(counterText(counter))?.amount ?? 0
  }

  begin(counter: CounterName, amount: number): void {
    const name = counterText(counter)
    const open = this.#open.get(name) ?? { count: 0, amount: 0, waiting: [] }
    open.count += 1
    open.amount += amount
    this.#open.set(name, open)
  }

  /** One is settled: whoever has waited longest tries again; after the last one, all do. */
  end(counter: CounterName, amount: number): void {
    const name = counterText(counter)
    const open = this.#open.get(name)
    if (open === undefined) return
    this.#ended += 1
    open.count -= 1
    open.amount -= amount
    if (open.count === 0) this.#open.delete(name)
    const woken = open.count === 0 ? open.waiting : open.waiting.splice(0, 1)
    for (const wake of woken) wake()
  }

  /** Who has waited has found room: there may be more. */
  next(counter: CounterName): void {
    this.#open.get(counterText(counter))?.waiting.shift()?.()
  }

  /** Waits until one is settled, for so long at most. */
  async change(counter: CounterName, clock: Pick<Clock, "delay">, waitMs: number): Promise<void> {
    const open = this.#open.get(counterText(counter))
    if (open === undefined) return
    const over = new AbortController()
    let wake = (): void => {}
    const turn = new Promise<void>((resolve) => {
      wake = resolve
    })
    open.waiting.push(wake)
    await Promise.race([turn, clock.delay(waitMs, over.signal)])
    over.abort()
    const at = open.waiting.indexOf(wake)
    if (at >= 0) open.waiting.splice(at, 1)
  }
}
