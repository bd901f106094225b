import type { CounterName, CounterPort } from "../../bus/counters.js"
import { freshId } from "../../bus/ids.js"
import { ensureError, errorCode } from "../../errors.js"
import type { Log } from "../../telemetry/ports.js"
import type { Clock } from "../clock.js"
import { counterText } from "./accounts.js"

const RETRY_MS_MAX = 5_000
const FAILURES_MAX = 20

/** Additions to counters that nobody waits for: each is tried until it is stored, or the bus is closed. */
export class Corrections {
  readonly #running = new Set<Promise<unknown>>()

  constructor(
    private readonly counters: CounterPort,
    private readonly clock: Pick<Clock, "delay">,
    private readonly log: Log,
  ) {}

  /** Never rejects: what cannot be taken back counts as spent. */
  add(counter: CounterName, amount: number): Promise<void> {
    return amount === 0 ? Promise.resolve() : this.track(this.#persist(counter, amount))
  }

  /** Lets {@link flush} wait for an addition that somebody else waits for as well. */
  track<T>(work: Promise<T>): Promise<T> {
    const done = work.then(
      () => {},
      () => {},
    )
    this.#running.add(done)
    void done.then(() => this.#running.delete(done))
    return work
  }

  /** Resolves when none is under way. */
  async flush(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  async #persist(counter: CounterName, amount: number): Promise<void> {
    const id = freshId()
    for (let failures = 0; ; failures++) {
      try {
        await this.counters.add(counter, amount, id)
        return
      } catch (thrown) {
        if (errorCode(thrown) === "BUS_CLOSED" || failures >= FAILURES_MAX) {
          const said = { counter: counterText(counter), amount, error: ensureError(thrown) }
          this.log.warn(said, "cannot count what a model has cost")
          return
        }
        await this.clock.delay(Math.min(RETRY_MS_MAX, 50 * 2 ** failures))
      }
    }
  }
}
