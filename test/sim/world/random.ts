/** Numbers that follow from a seed: the same seed gives the same run on every machine. */
export class Random {
  #a: number
  #b: number
  #c: number
  #count = 1

  constructor(private readonly seed: string) {
    this.#a = hash32(`a:${seed}`)
    this.#b = hash32(`b:${seed}`)
    this.#c = hash32(`c:${seed}`)
    for (let i = 0; i < 12; i++) this.next()
  }

  /** A stream of numbers of its own, so that what one part draws does not change what another part gets. */
  fork(name: string): Random {
    return new Random(`${this.seed}/${name}`)
  }

  /** From 0 to 1, without 1. */
  next(): number {
    // "small fast counter": three words of state and a counter, which keeps the period long whatever the seed
    const sum = (this.#a + this.#b + this.#count++) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    return (sum >>> 0) / 2 ** 32
  }

  /** An integer from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1))
  }

  /** A number from `min` to `max`. */
  between(min: number, max: number): number {
    return min + this.next() * (max - min)
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new Error("Cannot pick from an empty list")
    return from[Math.floor(this.next() * from.length)] as T
  }
}

/** FNV-1a, as the server's partition function has it too. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    hash ^= text.charCodeAt(i) & 0xff
    hash = Math.imul(hash, 0x01000193)
  }
  return hash >>> 0
}
