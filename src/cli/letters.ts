import type { BusCore } from "../bus/bus-core.js"
import { DeadLetters, type LetterFilter, names, type StoredLetter, unknownLetter } from "../node/dead-letter-store.js"
import { warn } from "./output.js"
import { usageError } from "./usage.js"

/** Which letters a command is about. */
export interface LetterOptions {
  all?: boolean
  agent?: string
  type?: string
}

/**
 * Reads the choice of letters. Something must be chosen: nothing is never everything.
 *
 * @throws MurmurError `USAGE`
 */
export function chosenLetters(ids: readonly string[], { all, agent, type }: LetterOptions): LetterFilter {
  const filtered = agent !== undefined || type !== undefined
  if (ids.length > 0 && (all || filtered)) throw usageError("name ids, or choose by --all, --agent, --type: not both")
  if (ids.length > 0) return { ids }
  if (!all && !filtered) throw usageError("name the ids of dead letters, or choose by --all, --agent, --type")
  return { agent, type }
}

/** The store, telling on standard error what it cannot read. */
export function openLetters(bus: BusCore): DeadLetters {
  return new DeadLetters(bus, (seq) => warn(`left out record ${seq} of the dead letters: it cannot be read`))
}

/**
 * Hands each chosen letter to `work`; goes on after one that fails.
 *
 * @returns for each letter what became of it, and for each id that no letter has its error
 */
export async function forEachLetter<T>(
  letters: DeadLetters,
  filter: LetterFilter,
  signal: AbortSignal,
  work: (stored: StoredLetter) => Promise<T>,
): Promise<{ readonly done: T[]; readonly failed: { readonly id: string; readonly error: unknown }[] }> {
  const done: T[] = []
  const failed: { id: string; error: unknown }[] = []
  const missing = new Set(filter.ids)
  for await (const stored of letters.list(filter, signal)) {
    for (const id of missing) if (names(id, stored.letter)) missing.delete(id)
    try {
      done.push(await work(stored))
    } catch (error) {
      failed.push({ id: stored.letter.id, error })
    }
  }
  for (const id of missing) failed.push({ id, error: unknownLetter(id) })
  return { done, failed }
}
