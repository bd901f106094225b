/** How urgent something is that waits. */
export interface Urgency {
  /** Higher first. */
  readonly priority: number
  /** Among equals the earliest first. Milliseconds since 1970; `Infinity` where there is none. */
  readonly deadlineMs: number
  /** Among equals the first that came. */
  readonly arrival: number
}

/** Whether `a` goes before `b`. */
export function isMoreUrgent(a: Urgency, b: Urgency): boolean {
  if (a.priority !== b.priority) return a.priority > b.priority
  if (a.deadlineMs !== b.deadlineMs) return a.deadlineMs < b.deadlineMs
  return a.arrival < b.arrival
}

interface Slot<T> {
  readonly item: T
  index: number
}

/**
 * What waits, the most urgent first: a binary heap. What has given up is taken out at once, wherever it stands, so that
 * the size is the number of those that do wait.
 */
export class UrgencyQueue<T extends Urgency> {
  readonly #heap: Slot<T>[] = []
  readonly #slots = new Map<T, Slot<T>>()

  get size(): number {
    return this.#heap.length
  }

  add(item: T): void {
    const slot = { item, index: this.#heap.length }
    this.#heap.push(slot)
    this.#slots.set(item, slot)
    this.#up(slot)
  }

  first(): T | undefined {
    return this.#heap[0]?.item
  }

  /** The most urgent one of those that fit. Looks at all of them. */
  firstOf(fits: (item: T) => boolean): T | undefined {
    let best: T | undefined
    for (const { item } of this.#heap) {
      if ((best === undefined || isMoreUrgent(item, best)) && fits(item)) best = item
    }
    return best
  }

  /** In no order. A copy: it may be changed meanwhile. */
  all(): readonly T[] {
    return this.#heap.map(({ item }) => item)
  }

  /** @returns whether it was in */
  remove(item: T): boolean {
    const slot = this.#slots.get(item)
    if (slot === undefined) return false
    this.#slots.delete(item)
    const last = this.#heap.pop()
    if (last !== undefined && last !== slot) {
      this.#put(last, slot.index)
      this.#up(last)
      this.#down(last)
    }
    return true
  }

  #up(slot: Slot<T>): void {
    while (slot.index > 0) {
      const parent = this.#heap[(slot.index - 1) >> 1]
      if (parent === undefined || isMoreUrgent(parent.item, slot.item)) return
      this.#swap(parent, slot)
    }
  }

  #down(slot: Slot<T>): void {
    for (;;) {
      const left = this.#heap[2 * slot.index + 1]
      const right = this.#heap[2 * slot.index + 2]
      if (left === undefined) return
      const child = right !== undefined && isMoreUrgent(right.item, left.item) ? right : left
      if (isMoreUrgent(slot.item, child.item)) return
      this.#swap(slot, child)
    }
  }

  #swap(a: Slot<T>, b: Slot<T>): void {
    const { index } = a
    this.#put(a, b.index)
    this.#put(b, index)
  }

  #put(slot: Slot<T>, index: number): void {
    slot.index = index
    this.#heap[index] = slot
  }
}
