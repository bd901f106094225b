/** More keys than this are not told apart. */
const KEYS_MAX = 100_000

/** Counts different keys, as far as memory should be spent on it: up to 100,000. */
export class KeyCount {
  readonly #keys = new Set<string>()

  /** How many different keys were seen; 100,000 stands for that many or more. */
  get size(): number {
    return this.#keys.size
  }

  add(key: string | undefined): void {
    if (key !== undefined && this.#keys.size < KEYS_MAX) this.#keys.add(key)
  }
}
