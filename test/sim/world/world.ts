import { Random } from "./random.js"

interface Timer {
  readonly at: number
  readonly order: number
  work: (() => void) | undefined
}

/** Where the clock of every simulated world begins. */
const EPOCH_MS = Date.UTC(2030, 0, 1)

/**
 * Virtual time. Nothing happens by itself: the world runs what is due next, lets all that follows from it at once
 * settle, and jumps to what is due then. An hour with nothing to do takes no time.
 */
export class World {
  readonly random: Random
  #now = EPOCH_MS
  #order = 0
  #turns = 0
  readonly #heap: Timer[] = []
  readonly #trace: string[] | undefined

  constructor(seed: string, options: { trace?: boolean } = {}) {
    this.random = new Random(seed)
    this.#trace = options.trace === true ? [] : undefined
  }

  /** Milliseconds since the epoch. */
  get now(): number {
    return this.#now
  }

  /** How often something was due. */
  get turns(): number {
    return this.#turns
  }

  get trace(): readonly string[] {
    return this.#trace ?? []
  }

  /** Writes a line of the trace, when there is one. */
  note(who: string, what: () => string): void {
    if (this.#trace === undefined) return
    const ms = (this.#now - EPOCH_MS).toFixed(1)
    this.#trace.push(`${ms.padStart(10)}  ${who.padEnd(8)} ${what()}`)
  }

  /** @returns cancels it */
  after(ms: number, work: () => void): () => void {
    return this.at(this.#now + Math.max(0, ms), work)
  }

  /** @returns cancels it */
  at(time: number, work: () => void): () => void {
    const timer: Timer = { at: Math.max(time, this.#now), order: this.#order++, work }
    push(this.#heap, timer)
    return () => {
      timer.work = undefined
    }
  }

  /**
   * Runs until a condition holds or the time is over.
   *
   * @param forMs of virtual time
   * @returns whether the condition came to hold
   */
  run(holds: () => boolean, forMs: number): Promise<boolean> {
    const deadline = this.#now + forMs
    return new Promise((resolve, reject) => {
      const turn = (): void => {
        try {
          const over = holds()
          if (over || !this.#turn(deadline)) resolve(over)
          else soon()
        } catch (error) {
          reject(error)
        }
      }
      // a tick that is asked for in a microtask comes when no microtask is left: all that follows at once has settled
      const soon = (): void => queueMicrotask(() => process.nextTick(turn))
      soon()
    })
  }

  /** Runs until a promise is settled. @throws what it was rejected with, or an Error when the time is over */
  async complete<T>(promise: Promise<T>, forMs = 3_600_000): Promise<T> {
    let settled = false
    const done = (): void => {
      settled = true
    }
    promise.then(done, done)
    if (!(await this.run(() => settled, forMs))) throw new Error(`Not done after ${forMs} ms of virtual time`)
    return promise
  }

  /** What is due next. @returns false when nothing is, before the deadline */
  #turn(deadline: number): boolean {
    for (let next = this.#heap[0]; next !== undefined; next = this.#heap[0]) {
      if (next.at > deadline) return false
      pop(this.#heap)
      const { work } = next
      if (work === undefined) continue
      this.#now = next.at
      this.#turns += 1
      work()
      return true
    }
    return false
  }
}

const before = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

function push(heap: Timer[], timer: Timer): void {
  let at = heap.length
  heap.push(timer)
  while (at > 0) {
    const parentAt = (at - 1) >> 1
    const parent = heap[parentAt]
    if (parent === undefined || !before(timer, parent)) break
    heap[at] = parent
    at = parentAt
  }
  heap[at] = timer
}

function pop(heap: Timer[]): void {
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return
  let at = 0
  for (;;) {
    const left = heap[2 * at + 1]
    const right = heap[2 * at + 2]
    const child = right !== undefined && left !== undefined && before(right, left) ? right : left
    if (child === undefined || !before(child, last)) break
    heap[at] = child
    at = child === right ? 2 * at + 2 : 2 * at + 1
  }
  heap[at] = last
}
