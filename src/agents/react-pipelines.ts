import type { ReactSession } from "./react-session.js"

/** Pipelines of quiet keys are kept for so many keys; then those go first that were quiet longest and hold no window. */
const PIPELINES_MAX = 10_000
/** So many are looked at for one that can go: a search through all of them at each new key would cost more than they do. */
const LOOK_AT = 8

/** The pipelines of a partition's keys, those used last at the end. */
export class ReactPipelines {
  readonly #sessions = new Map<string | undefined, ReactSession>()

  /** @param open makes the pipeline of a key */
  constructor(private readonly open: (key: string | undefined) => ReactSession) {}

  /** The pipeline of a key. What it does not know it makes, and lets an idle one go when there are many. */
  of(key: string | undefined): ReactSession {
    const known = this.#sessions.get(key)
    if (known !== undefined) {
      this.#touch(known)
      return known
    }
    if (this.#sessions.size >= PIPELINES_MAX) this.#evict()
    const session = this.open(key)
    this.#sessions.set(key, session)
    return session
  }

  [Symbol.iterator](): Iterator<ReactSession> {
    return [...this.#sessions.values()][Symbol.iterator]()
  }

  /** Sequence of the oldest event in an open window of any key; `before` when there is none before that. */
  oldestSeq(before: number): number {
    let oldest = before
    for (const { firstSeq } of this.#sessions.values())
      if (firstSeq !== undefined && firstSeq < oldest) oldest = firstSeq
    return oldest
  }

  discard(session: ReactSession): void {
    session.dispose()
    if (this.#sessions.get(session.key) === session) this.#sessions.delete(session.key)
  }

  dispose(): void {
    for (const session of this) this.discard(session)
  }

  #touch(session: ReactSession): void {
    this.#sessions.delete(session.key)
    this.#sessions.set(session.key, session)
  }

  #evict(): void {
    let looked = 0
    for (const session of this.#sessions.values()) {
      if (session.firstSeq === undefined) {
        this.discard(session)
        return
      }
      this.#touch(session) // bound by open windows: it is not looked at again soon
      looked += 1
      if (looked === LOOK_AT) return
    }
  }
}
