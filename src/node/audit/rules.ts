import type { AgentHistory } from "./read.js"

/** What of murmur's promises a history breaks. */
export type Promised =
  /** An accepted event is committed or a dead letter, and not neither. */
  | "lost"
  /** One commit for each event, in one session, and none for one that was given up. */
  | "doubled"
  /** The events of a key are committed in the order in which they were stored. */
  | "order"
  /** What was decided is on the bus: each output of a commit, and nothing else, in the order of the commits. */
  | "outputs"

/** A promise that does not hold. */
export interface Broken {
  readonly promise: Promised
  /** One line for people. */
  readonly detail: string
  /** The events that it is about. */
  readonly ids: readonly string[]
}

/** How strictly {@link checkHistory} looks. */
export interface RuleOptions {
  /** Whether an output must be stored once, not only once by id: inside the dedup window. Default true. */
  readonly storedOnce?: boolean
}

/**
 * Holds the history of one agent with state, whose work is done, to what murmur promises whatever happened in between.
 *
 * @returns what does not hold; empty when all does
 */
export function checkHistory(history: AgentHistory, options: RuleOptions = {}): Broken[] {
  return [...checkCauses(history), ...checkOrder(history), ...checkOutputs(history, options.storedOnce ?? true)]
}

/** Every event is in exactly one of commits and dead letters. */
function checkCauses({ events, sessions, dead }: AgentHistory): Broken[] {
  const committed = [...sessions.values()].flatMap((commits) => commits.map(({ cause }) => cause.id))
  const done = new Set([...committed, ...dead])
  return [
    broken("lost", "events that are neither committed nor dead letters", missing(events.keys(), done)),
    broken("doubled", "events that were committed more than once", repeated(committed)),
    broken("doubled", "events that are committed and dead letters", both(committed, dead)),
    broken("doubled", "commits or dead letters of events that are not stored", missing(done, events)),
  ].flat()
}

function checkOrder({ sessions }: AgentHistory): Broken[] {
  return [...sessions].flatMap(([subject, commits]) => {
    // 0: it came by another way, and has no place among the others
    const placed = commits.map(({ cause }) => cause).filter(({ seq }) => seq > 0)
    const late = placed.filter(({ seq }, at) => seq < (placed[at - 1]?.seq ?? 0)).map(({ id }) => id)
    return broken("order", `events of ${subject} that were committed behind later ones`, late)
  })
}

/** On the bus is what is in the commits: by id, in the order of the commits. */
function checkOutputs({ sessions, outputs }: AgentHistory, storedOnce: boolean): Broken[] {
  const published = outputs.map(({ id }) => id)
  const first = new Map(outputs.toReversed().map(({ id, seq }) => [id, seq]))
  const decided = new Set<string>()
  const found: Broken[] = []
  for (const [subject, commits] of sessions) {
    const own = commits.flatMap((commit) => commit.outputs.map(({ id }) => id))
    for (const id of own) decided.add(id)
    const stored = own.filter((id) => first.has(id))
    const place = (id: string | undefined): number => (id === undefined ? 0 : (first.get(id) ?? 0))
    const late = stored.filter((id, at) => place(id) < place(stored[at - 1]))
    found.push(...broken("outputs", `outputs of ${subject} that are not on the bus`, missing(own, first)))
    found.push(...broken("outputs", `outputs of ${subject} that are on the bus behind later ones`, late))
  }
  if (storedOnce) found.push(...broken("outputs", "outputs that are stored more than once", repeated(published)))
  return [
    ...found,
    ...broken("outputs", "outputs on the bus that nobody has committed", missing(first.keys(), decided)),
  ]
}

function broken(promise: Promised, detail: string, ids: readonly string[]): Broken[] {
  return ids.length === 0 ? [] : [{ promise, detail, ids }]
}

function repeated(ids: readonly string[]): string[] {
  const seen = new Set<string>()
  return [...new Set(ids.filter((id) => seen.size === seen.add(id).size))]
}

const missing = (ids: Iterable<string>, there: { has(id: string): boolean }): string[] =>
  [...ids].filter((id) => !there.has(id))

const both = (ids: Iterable<string>, others: ReadonlySet<string>): string[] => [...ids].filter((id) => others.has(id))
