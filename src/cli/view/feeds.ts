import type { MurmurEvent } from "../../bus/event.js"
import { oneLine } from "./columns.js"
import type { Tree } from "./forest.js"

const KEYS_MAX = 100
const KEYS_NAMED = 5
const TYPES_MAX = 200
const LINES_MAX = 4

interface Tally {
  count: number
  /** How often each key was seen; only so many keys. */
  readonly keys: Map<string, number>
}

/** Counts what is not listed: events that led to nothing, and trees that came too fast to be read. */
export class Feeds {
  readonly #quiet = new Map<string, Tally>()
  readonly #flooded = new Map<string, Tally>()

  /** An event came from outside. */
  came(event: MurmurEvent): void {
    count(this.#quiet, event.type, event.key)
  }

  /** It was reacted to, so it has a line of its own. */
  reacted(event: MurmurEvent): void {
    const tally = this.#quiet.get(event.type)
    if (tally === undefined || tally.count === 0) return
    tally.count -= 1
    if (event.key === undefined) return
    const left = (tally.keys.get(event.key) ?? 1) - 1
    if (left === 0) tally.keys.delete(event.key)
    else tally.keys.set(event.key, left)
  }

  /** A tree was left out because too many came at once. */
  flooded(tree: Tree): void {
    if (tree.continued) return
    const path = [tree.root?.event.type ?? "…", tree.fresh[0]?.event.type ?? ""].join(" → ")
    count(this.#flooded, path, tree.root?.event.key)
  }

  /** What was counted since the last call, the most frequent first. */
  take(): string[] {
    const lines = [...linesOf(this.#flooded, "more of"), ...linesOf(this.#quiet, "×")]
    this.#quiet.clear()
    this.#flooded.clear()
    if (lines.length <= LINES_MAX) return lines
    return [...lines.slice(0, LINES_MAX), `… and ${lines.length - LINES_MAX} other types`]
  }
}

function count(tallies: Map<string, Tally>, what: string, key: string | undefined): void {
  const name = tallies.size < TYPES_MAX || tallies.has(what) ? what : "others"
  const tally = tallies.get(name) ?? { count: 0, keys: new Map() }
  tally.count += 1
  if (key !== undefined && (tally.keys.has(key) || tally.keys.size < KEYS_MAX)) {
    tally.keys.set(key, (tally.keys.get(key) ?? 0) + 1)
  }
  tallies.set(name, tally)
}

function linesOf(tallies: ReadonlyMap<string, Tally>, times: string): string[] {
  return [...tallies]
    .filter(([, tally]) => tally.count > 0)
    .sort(([, a], [, b]) => b.count - a.count)
    .map(([what, tally]) => `${tally.count} ${times} ${what}   ${named(tally.keys)}`.trimEnd())
}

function named(keys: ReadonlyMap<string, number>): string {
  const names = [...keys.keys()].sort().slice(0, KEYS_NAMED).map(oneLine).join(", ")
  if (keys.size <= KEYS_NAMED) return names
  return `${names} and ${keys.size === KEYS_MAX ? "many" : keys.size - KEYS_NAMED} more`
}
