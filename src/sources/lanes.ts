import { ensureError } from "../errors.js"

/**
 * Work in lanes: one at a time and in order within a lane, lanes side by side, at most `max` in all. For publishing with
 * the order of each key kept.
 */
export class Lanes {
  readonly #max: number
  readonly #tails = new Map<string, Promise<void>>()
  #count = 0
  #failure: Error | undefined
  #wake: (() => void) | undefined

  constructor(max: number) {
    this.#max = max
  }

  /**
   * Resolves when the work was taken up or queued in its lane, which may take until others are done.
   *
   * @throws what an earlier work threw; nothing is taken up after that
   */
  async add(lane: string, work: () => Promise<void>): Promise<void> {
    while (this.#count >= this.#max && this.#failure === undefined) await this.#change()
    if (this.#failure !== undefined) throw this.#failure
    this.#count += 1
    const run = (this.#tails.get(lane) ?? Promise.resolve()).then(() => this.#run(work))
    this.#tails.set(lane, run)
    void run.then(() => {
      this.#count -= 1
      if (this.#tails.get(lane) === run) this.#tails.delete(lane)
      this.#wake?.()
    })
  }

  /**
   * Resolves when nothing is left.
   *
   * @throws what a work threw
   */
  async idle(): Promise<void> {
    while (this.#count > 0) await this.#change()
    if (this.#failure !== undefined) throw this.#failure
  }

  async #run(work: () => Promise<void>): Promise<void> {
    if (this.#failure !== undefined) return
    try {
      await work()
    } catch (error) {
      this.#failure ??= ensureError(error)
    }
  }

  /** One waits at a time: whoever adds is whoever waits for the end. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}
