import type { CounterName } from "../../bus/counters.js"
import type { Clock } from "../clock.js"
import { counterText } from "./accounts.js"

const EVERY_MS = 1_000

/**
 * What is only counted, and limited by nobody: added up in memory, and sent once a second. A process that dies takes the
 * last second along.
 */
export class Tally {
  #sums = new Map<string, { readonly counter: CounterName; amount: number }>()
  #cancel: (() => void) | undefined

  constructor(
    private readonly clock: Pick<Clock, "after">,
    private readonly send: (counter: CounterName, amount: number) => void,
  ) {}

  add(counter: CounterName, amount: number): void {
    if (amount === 0) return
    const name = counterText(counter)
    const sum = this.#sums.get(name)
    if (sum === undefined) this.#sums.set(name, { counter, amount })
    else sum.amount += amount
    this.#cancel ??= this.clock.after(EVERY_MS, () => this.flush())
  }

  /** Sends what there is. */
  flush(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const sums = this.#sums
    this.#sums = new Map()
    for (const { counter, amount } of sums.values()) this.send(counter, amount)
  }
}
