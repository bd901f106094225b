import { availableParallelism } from "node:os"
import { ensureError } from "../../errors.js"
import { type WorkerOptions, WorkerProcess } from "./worker-process.js"

/** A worker without work ends after so long: it takes some 80 MB. */
const IDLE_MS = 60_000

/** A step that waits for a worker. */
interface Waiter {
  take(worker: WorkerProcess): void
  fail(error: Error): void
}

/** How many workers an agent may have on this machine: more than it has processors would only wait for one another. */
export function workersMax(concurrency: number): number {
  return Math.min(concurrency, Math.max(2, availableParallelism()))
}

/**
 * The workers of one agent: started when one is needed and none is free, kept for the next step, ended when they had
 * nothing to do for a while. A step holds its worker alone. Who waits is bounded by whoever hands out steps.
 */
export class WorkerPool {
  readonly #all = new Set<WorkerProcess>()
  /** Free ones, the last used at the end: it is used next, so that what is not needed becomes old. */
  readonly #free: { readonly worker: WorkerProcess; readonly retire: NodeJS.Timeout }[] = []
  readonly #waiting: Waiter[] = []
  readonly #starting = new Set<Promise<void>>()
  readonly #stopping = new AbortController()

  constructor(
    private readonly options: WorkerOptions,
    private readonly max: number,
  ) {}

  /** Process ids of the workers that are there. */
  get pids(): number[] {
    return [...this.#all].flatMap(({ pid }) => (pid === undefined ? [] : [pid]))
  }

  /**
   * A worker for one step. Never settles when the signal is aborted first: the step is over then.
   *
   * @throws RetryableError `AGENT_ISOLATION` when no worker can be started
   */
  acquire(signal: AbortSignal): Promise<WorkerProcess> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        take: (worker) => {
          signal.removeEventListener("abort", leave)
          resolve(worker)
        },
        fail: (error) => {
          signal.removeEventListener("abort", leave)
          reject(error)
        },
      }
      const leave = (): void => {
        const at = this.#waiting.indexOf(waiter)
        if (at !== -1) this.#waiting.splice(at, 1)
      }
      if (signal.aborted || this.#stopping.signal.aborted) return
      signal.addEventListener("abort", leave, { once: true })
      this.#waiting.push(waiter)
      this.#serve()
    })
  }

  /** Gives a worker back. One that is dead or about to be is replaced when the next step needs it. */
  release(worker: WorkerProcess): void {
    worker.listener = undefined
    if (worker.dead || this.#stopping.signal.aborted) {
      this.discard(worker)
      return
    }
    worker.listener = { onMessage: () => {}, onDeath: () => this.#discard(worker) }
    const retire = setTimeout(() => this.discard(worker), IDLE_MS).unref()
    this.#free.push({ worker, retire })
    this.#serve()
  }

  /** Ends a worker that cannot be trusted with another step. */
  discard(worker: WorkerProcess): void {
    worker.listener = undefined
    worker.kill()
    this.#discard(worker)
  }

  /** Ends all workers; resolves when they are gone. What runs in them is lost. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#waiting.length = 0
    const workers = [...this.#all]
    for (const worker of workers) this.discard(worker)
    await Promise.all([...workers.map((worker) => worker.ended()), ...this.#starting])
  }

  #discard(worker: WorkerProcess): void {
    this.#all.delete(worker)
    const at = this.#free.findIndex((free) => free.worker === worker)
    if (at !== -1) clearTimeout(this.#free.splice(at, 1)[0]?.retire)
    this.#serve()
  }

  #serve(): void {
    while (this.#waiting.length > 0) {
      const free = this.#free.pop()
      if (free === undefined) break
      clearTimeout(free.retire)
      free.worker.listener = undefined
      this.#waiting.shift()?.take(free.worker)
    }
    const wanted = Math.min(this.#waiting.length, this.max - this.#all.size)
    while (!this.#stopping.signal.aborted && this.#starting.size < wanted) this.#start()
  }

  #start(): void {
    const starting = WorkerProcess.start(this.options, this.#stopping.signal).then(
      (worker) => {
        this.#starting.delete(starting)
        this.#all.add(worker)
        this.release(worker)
      },
      (thrown) => {
        this.#starting.delete(starting)
        this.#waiting.shift()?.fail(ensureError(thrown))
        this.#serve()
      },
    )
    this.#starting.add(starting)
  }
}
