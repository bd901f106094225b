import type { MurmurEvent } from "../../bus/event.js"

/** An event, and when it was seen, in milliseconds of a clock that only runs forward. */
export interface Seen {
  readonly event: MurmurEvent
  readonly at: number
}

/** A causal tree, as far as it is to be shown now. */
export interface Tree {
  readonly rootId: string
  /** Absent when it is older than this view. */
  readonly root: Seen | undefined
  /** Whether a part of it was shown before. */
  readonly continued: boolean
  /** What is new, in the order in which it came; never empty. */
  readonly fresh: readonly Seen[]
  /** Time and key of any event of it that was seen. */
  find(id: string): { readonly at: number; readonly key: string | undefined } | undefined
  /** Whether its beginning was left out, so that what follows would hang in the air. */
  readonly hidden: boolean
  /** Leaves it out, with all that is still to come of it. */
  hide(): void
}

interface Growing {
  readonly rootId: string
  readonly root: Seen | undefined
  readonly known: Map<string, { readonly at: number; readonly key: string | undefined }>
  continued: boolean
  hidden: boolean
  fresh: Seen[]
}

/** A tree is shown when nothing was added to it for so long ... */
const SETTLED_MS = 350
/** ... or when its oldest part has waited for so long. */
const WAIT_MS_MAX = 1_500
const ROOTS_MAX = 5_000
const TREES_MAX = 2_000
const KNOWN_MAX = 1_000

/** Puts reactions under what caused them. Trees grow side by side; each is handed out when it has settled. */
export class Forest {
  readonly #roots = new Map<string, Seen>()
  readonly #trees = new Map<string, Growing>()
  readonly #growing = new Set<Growing>()

  /** @returns the root that is reacted to by this event for the first time, if there is one */
  add(event: MurmurEvent, at: number): MurmurEvent | undefined {
    if (event.hops === 0) {
      this.#roots.set(event.id, { event, at })
      dropOldest(this.#roots, ROOTS_MAX)
      return undefined
    }
    const known = this.#trees.get(event.correlationid)
    const tree = known ?? this.#plant(event.correlationid)
    tree.fresh.push({ event, at })
    if (tree.known.size < KNOWN_MAX) tree.known.set(event.id, { at, key: event.key })
    this.#growing.add(tree)
    return known === undefined ? tree.root?.event : undefined
  }

  /** The trees that are to be shown now. */
  ripe(now: number): Tree[] {
    const ripe = [...this.#growing].filter(({ fresh }) => {
      const [first, last] = [fresh[0]?.at ?? now, fresh.at(-1)?.at ?? now]
      return now - last >= SETTLED_MS || now - first >= WAIT_MS_MAX
    })
    return ripe.map((tree) => this.#harvest(tree))
  }

  #plant(rootId: string): Growing {
    const root = this.#roots.get(rootId)
    const known: Growing["known"] = new Map()
    if (root !== undefined) known.set(rootId, { at: root.at, key: root.event.key })
    const tree: Growing = { rootId, root, known, continued: false, hidden: false, fresh: [] }
    this.#trees.set(rootId, tree)
    dropOldest(this.#trees, TREES_MAX)
    return tree
  }

  #harvest(tree: Growing): Tree {
    const { rootId, root, known, continued, hidden, fresh } = tree
    tree.fresh = []
    tree.continued = true
    this.#growing.delete(tree)
    const hide = (): void => {
      tree.hidden = true
    }
    return { rootId, root, continued, hidden, fresh, find: (id) => known.get(id), hide }
  }
}

function dropOldest(map: Map<string, unknown>, max: number): void {
  if (map.size <= max) return
  const oldest = map.keys().next()
  if (!oldest.done) map.delete(oldest.value)
}
