/** A node that leaves a partition to others takes what waits when it has seen so often in a row that nobody else does. */
const UNCLAIMED_LOOKS = 2

/**
 * Whether a node pulls a partition that it does not own. The server gives a partition to whoever pulls it first, so a
 * node that leaves it to others does not pull, and looks instead: what waits and is taken by nobody, it takes all the same.
 */
export class Claim {
  #left = false
  #held = false
  #unclaimed = 0
  #wake = (): void => {}

  get stands(): boolean {
    return !this.#held && (!this.#left || this.#unclaimed >= UNCLAIMED_LOOKS)
  }

  /** @param left whether the partition is left to others. Default: it is not */
  leave(left: boolean): void {
    if (this.#left === left) return
    this.#left = left
    this.renew()
  }

  /** @param held whether the node takes nothing new for the time being, whoever else does */
  hold(held: boolean): void {
    this.#held = held
    this.renew()
  }

  /** Notes what was seen of a partition that this node does not own. @param orphaned something waits and nobody owns it */
  saw(orphaned: boolean): void {
    this.#unclaimed = orphaned ? this.#unclaimed + 1 : 0
    if (this.stands) this.#wake()
  }

  /** What was seen before says nothing any more. Whoever waits looks whether it still has to. */
  renew(): void {
    this.#unclaimed = 0
    this.#wake()
  }

  /** Resolves when it stands, or when it is renewed. */
  async changed(): Promise<void> {
    if (!this.stands) await new Promise<void>((resolve) => (this.#wake = resolve))
  }
}
