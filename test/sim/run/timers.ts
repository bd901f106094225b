import type { Timer } from "../../../src/agents/suspension.js"
import type { World } from "../world/world.js"

/** A node that may be handed what is due. */
export interface WakeTaker {
  /** Whether it is there to take it. */
  readonly heard: boolean
  /** By way of the network. @param ack it is on the bus */
  wake(timer: Timer, ack: () => void): void
}

/** The server fires a timer a little late. */
const LATE_MS = [100, 450] as const
const RETRY_MS = 1_000
const ACK_WAIT_MS = 30_000

/**
 * The modelled stream of timers, and the shared consumer of what is due: any node is handed it, and it comes again until
 * it is acked.
 */
export class SimTimers {
  readonly #set = new Map<string, () => void>()
  readonly #due = new Set<Timer>()

  constructor(
    private readonly world: World,
    private readonly takers: () => readonly WakeTaker[],
  ) {}

  /** Whether nothing is set and nothing due. */
  get idle(): boolean {
    return this.#set.size === 0 && this.#due.size === 0
  }

  /** A timer under the same name replaces the one before. */
  set(timer: Timer): void {
    const name = `${timer.agent} ${timer.step} ${timer.position}`
    this.#set.get(name)?.()
    const at = timer.at.getTime() + this.world.random.between(...LATE_MS)
    const cancel = this.world.at(at, () => {
      this.#set.delete(name)
      this.#due.add(timer)
      this.world.note("timers", () => `due: ${name}`)
      this.#hand(timer)
    })
    this.#set.set(name, cancel)
  }

  #hand(timer: Timer): void {
    if (!this.#due.has(timer)) return
    const able = this.takers().filter(({ heard }) => heard)
    const taker = able.length === 0 ? undefined : this.world.random.pick(able)
    taker?.wake(timer, () => this.#due.delete(timer))
    this.world.after(taker === undefined ? RETRY_MS : ACK_WAIT_MS, () => this.#hand(timer))
  }
}
