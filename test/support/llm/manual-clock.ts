import type { BrokerClock } from "../../../src/gateways/broker/clock.js"

interface Timer {
  readonly atMs: number
  readonly order: number
  readonly work: () => void
}

/** Time that passes when a test says so. */
export class ManualClock implements BrokerClock {
  #nowMs = 1_700_000_000_000
  #order = 0
  readonly #timers = new Set<Timer>()

  now = (): number => this.#nowMs
  steady = (): number => this.#nowMs - 1_600_000_000_000
  after = (ms: number, work: () => void): (() => void) => {
    const timer = { atMs: this.#nowMs + Math.max(0, ms), order: this.#order++, work }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Timers that nobody has called off. */
  get pending(): number {
    return this.#timers.size
  }

  /** Lets so much time pass: each timer at its time, and what follows from it before the next one. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    await settled()
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      this.#timers.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.work()
      await settled()
    }
    this.#nowMs = untilMs
  }

  #next(untilMs: number): Timer | undefined {
    const due = [...this.#timers].filter(({ atMs }) => atMs <= untilMs)
    return due.sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0]
  }
}

/** All that can happen without time passing has happened. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}
