import { createHash } from "node:crypto"

/** Positions of branches are hashes of so many bits: questions about calls multiply them by a thousand. */
const BRANCH_BITS = 43n

/**
 * Numbers the journaled calls of a step, the same on each attempt. What runs side by side and makes several calls each
 * has a branch of its own: else the numbers would follow from who was faster.
 */
export class Positions {
  #next = 0
  #always: number | undefined

  private constructor(
    /** Where the branch began: `/3/0`. Empty for the step itself. */
    readonly path: string,
  ) {}

  /** Those of a step itself: 0, 1, 2, ... */
  static ofStep(): Positions {
    return new Positions("")
  }

  /** Those of a branch that began somewhere else: in a worker. */
  static ofBranch(path: string): Positions {
    return new Positions(path)
  }

  /** One position for each call: of one that was numbered before, here or in a worker. */
  static always(position: number): Positions {
    const positions = new Positions("")
    positions.#always = position
    return positions
  }

  /** The position of the next call. */
  next(): number {
    if (this.#always !== undefined) return this.#always
    const index = this.#next++
    return this.path === "" ? index : hashed(`${this.path}/${index}`)
  }

  /** Those of a branch that begins here. */
  branch(): Positions {
    return new Positions(`${this.path}/${this.#next++}`)
  }
}

/** Some 8.8e12 numbers: two of a thousand calls of one step meet once in 17 million steps, and are told apart then. */
function hashed(path: string): number {
  const bits = createHash("sha256").update(path).digest().readBigUInt64BE(0)
  return Number(BigInt.asUintN(Number(BRANCH_BITS), bits))
}
