const PATIENCE = 10

interface Waiting {
  timer: NodeJS.Timeout
  readonly since: number
}

/** Hands a path on when nothing has happened to it for a while; after ten times that, it is handed on all the same. */
export class Debouncer {
  readonly #quietMs: number
  readonly #onQuiet: (path: string) => void
  readonly #waiting = new Map<string, Waiting>()

  constructor(quietMs: number, onQuiet: (path: string) => void) {
    this.#quietMs = quietMs
    this.#onQuiet = onQuiet
  }

  /** Something happened to the path. */
  touch(path: string): void {
    const before = this.#waiting.get(path)
    clearTimeout(before?.timer)
    const since = before?.since ?? performance.now()
    const left = since + this.#quietMs * PATIENCE - performance.now()
    const fire = (): void => {
      this.#waiting.delete(path)
      this.#onQuiet(path)
    }
    const timer = setTimeout(fire, Math.max(0, Math.min(this.#quietMs, left)))
    this.#waiting.set(path, { timer, since })
  }

  /** Forgets what waits. */
  stop(): void {
    for (const { timer } of this.#waiting.values()) clearTimeout(timer)
    this.#waiting.clear()
  }
}
