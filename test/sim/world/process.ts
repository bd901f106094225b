import type { Clock } from "../../../src/agents/clock.js"
import type { World } from "./world.js"

/**
 * A simulated process. Everything that comes into it (a timer, an answer, a delivery) comes through {@link enter}, so it
 * can die at any of these moments: then nothing comes in any more, and what waits in it waits for ever. While it is
 * paused (SIGSTOP) what comes in waits until it goes on, and it goes on with what it knew.
 */
export class Process {
  readonly clock: Clock
  #alive = true
  #pausedUntil = 0
  #held: (() => void)[] = []
  #entriesLeft = Number.POSITIVE_INFINITY
  readonly #onChange: (() => void)[] = []

  constructor(
    readonly world: World,
    readonly name: string,
  ) {
    this.clock = {
      now: () => world.now,
      steady: () => world.now,
      after: (ms, work) => this.#after(ms, work),
      delay: (ms, signal) => this.#delay(ms, signal),
    }
  }

  get alive(): boolean {
    return this.#alive
  }

  get paused(): boolean {
    return this.#alive && this.#pausedUntil > this.world.now
  }

  /** Told when the process dies, stands still or goes on. */
  onChange(tell: () => void): void {
    this.#onChange.push(tell)
  }

  /** Something comes in. */
  enter(work: () => void): void {
    if (!this.#alive) return
    if (this.paused) {
      this.#held.push(work)
      return
    }
    this.#entriesLeft -= 1
    if (this.#entriesLeft < 0) this.crash()
    else work()
  }

  /** Dies at its n-th entry from now on: between any two steps of its code. */
  crashAtEntry(n: number): void {
    this.#entriesLeft = n
  }

  crash(): void {
    if (!this.#alive) return
    this.world.note(this.name, () => "CRASH")
    this.#alive = false
    this.#held = []
    this.#changed()
  }

  pause(ms: number): void {
    if (!this.#alive || this.paused) return
    this.world.note(this.name, () => `PAUSE for ${Math.round(ms)} ms`)
    this.#pausedUntil = this.world.now + ms
    this.#changed()
    this.world.after(ms, () => this.#resume())
  }

  #resume(): void {
    if (!this.#alive) return
    this.world.note(this.name, () => "goes on")
    this.#pausedUntil = 0
    // each in a turn of its own, in the order in which they came
    for (const work of this.#held.splice(0)) this.world.after(0, () => this.enter(work))
    this.#changed()
  }

  #changed(): void {
    for (const tell of this.#onChange) tell()
  }

  #after(ms: number, work: () => void): () => void {
    let cancelled = false
    const cancel = this.world.after(ms, () => {
      this.enter(() => {
        if (!cancelled) work()
      })
    })
    return () => {
      cancelled = true
      cancel()
    }
  }

  #delay(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve()
    return new Promise((resolve) => {
      const onAbort = (): void => {
        cancel()
        resolve()
      }
      const cancel = this.#after(ms, () => {
        signal?.removeEventListener("abort", onAbort)
        resolve()
      })
      signal?.addEventListener("abort", onAbort, { once: true })
    })
  }
}
