import type { SealedEvent } from "../bus/encode.js"
import type { WindowClose, WindowLog } from "./windows/checkpoint.js"

/** Without a closing window the log still moves on after so many events, so that a rebuild stays short. */
const CHECKPOINT_EVERY = 10_000
const CLOSES_MAX = 500

/** What committing needs of the tenure that it belongs to. */
export interface CommitPorts {
  readonly log: WindowLog
  readonly ended: AbortSignal
  /** How large a record may be. */
  readonly bytesMax: number
  /** Sequence of the oldest event that a window which is still open holds, or of the next event. */
  rebuildFrom(): number
  publish(outputs: readonly SealedEvent[]): Promise<unknown>
  /** A commit failed: another node writes the log, or the outputs are not taken. Told once. */
  onFault(error: unknown): void
}

/**
 * The commits of one tenure, one at a time: windows that close while one is made share the next. The outputs of a commit
 * are stored before the next commit is made, so that after a crash only those of the last one are in doubt.
 */
export class ReactCommits {
  #closes: WindowClose[] = []
  #poisoned: number[] = []
  #taken = 0
  #held = 0
  #running: Promise<void> | undefined

  constructor(private readonly ports: CommitPorts) {}

  /** A window closed. */
  close(close: WindowClose): void {
    this.#closes.push(close)
  }

  /** An event broke its pipeline; it is left out when the key is built again. */
  poison(seq: number): void {
    this.#poisoned.push(seq)
  }

  isPoisoned(seq: number): boolean {
    return this.ports.log.isPoisoned(seq) || this.#poisoned.includes(seq)
  }

  /** An event is in its pipeline. */
  taken(): void {
    this.#taken += 1
  }

  /** Whether there is something to commit. */
  get due(): boolean {
    return this.#closes.length > 0 || this.#poisoned.length > 0 || this.#taken >= CHECKPOINT_EVERY
  }

  /**
   * Runs work during which pipelines are not what they should be (being built, or built again): whatever is committed
   * meanwhile, the place from which they must be rebuilt does not move.
   */
  async holding<T>(work: () => Promise<T>): Promise<T> {
    this.#held += 1
    try {
      return await work()
    } finally {
      this.#held -= 1
    }
  }

  /** Commits what is there to commit, in the background. */
  soon(): void {
    if (this.due) this.now().catch(() => {}) // told by `onFault`
  }

  /** Resolves when all that was there to commit is committed and its outputs are stored, or the tenure is over. */
  async now(): Promise<void> {
    while (this.#running !== undefined || (this.due && !this.ports.ended.aborted)) {
      this.#running ??= this.#run()
      await this.#running
    }
  }

  async #run(): Promise<void> {
    try {
      await Promise.resolve() // lets the windows that close in this turn of the loop join
      while (this.due && !this.ports.ended.aborted) await this.#commit()
    } catch (error) {
      this.ports.onFault(error)
      throw error
    } finally {
      this.#running = undefined
    }
  }

  async #commit(): Promise<void> {
    const { log } = this.ports
    const closes = this.#take()
    const poisoned = this.#poisoned.splice(0)
    this.#taken = 0
    // windows that closed and are not in this commit are in no pipeline any more
    const inOrder = this.#closes.length === 0 && this.#held === 0
    await log.commit(closes, inOrder ? this.ports.rebuildFrom() : log.rebuildFrom, poisoned)
    await this.ports.publish(closes.flatMap(({ outputs }) => outputs))
  }

  /** As many closes as fit into one record. One alone fits always: its pipeline saw to that. */
  #take(): WindowClose[] {
    let bytes = 0
    let count = 0
    for (const close of this.#closes) {
      bytes += Buffer.byteLength(JSON.stringify(close))
      if (count > 0 && (count === CLOSES_MAX || bytes > this.ports.bytesMax)) break
      count += 1
    }
    return this.#closes.splice(0, count)
  }
}
