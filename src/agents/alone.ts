/**
 * One at a time, on a whole node: steps that a process died in before. When the process dies again, it is known of which
 * one.
 */
export class Alone {
  #last: Promise<unknown> = Promise.resolve()

  /** Fulfilled when nobody else has the place. @returns gives it back */
  async enter(): Promise<() => void> {
    let leave = (): void => {}
    const before = this.#last
    this.#last = new Promise<void>((resolve) => {
      leave = resolve
    })
    await before
    return leave
  }
}
