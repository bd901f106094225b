/**
 * What a commit changed in the state, so that the state as of any commit can be shown without the agent's code, and as
 * it was known then even after `evolve` was changed. A change without a value removes what lies at its path.
 */
export type Change = readonly [path: readonly (string | number)[], value?: unknown]

type Plain = Record<string, unknown>

/** The changes that make `after` of `before`. States share what did not change, so this costs what changed. */
export function changesBetween(before: unknown, after: unknown): Change[] {
  const changes: Change[] = []
  collect(before, after, [], changes)
  return changes
}

function collect(before: unknown, after: unknown, path: (string | number)[], changes: Change[]): void {
  if (Object.is(before, after)) return
  if (isPlain(before) && isPlain(after)) {
    for (const key of Object.keys(before)) if (!Object.hasOwn(after, key)) changes.push([[...path, key]])
    for (const key of Object.keys(after)) {
      if (Object.hasOwn(before, key)) collect(before[key], after[key], [...path, key], changes)
      else changes.push([[...path, key], after[key]])
    }
  } else if (Array.isArray(before) && Array.isArray(after) && after.length >= before.length) {
    after.forEach((item, at) => {
      if (at < before.length) collect(before[at], item, [...path, at], changes)
      else changes.push([[...path, at], item])
    })
  } else {
    changes.push([path, after])
  }
}

/** The state after some changes. `state` is left as it is. */
export function applyChanges(state: unknown, changes: readonly Change[]): unknown {
  let next = state
  for (const change of changes) next = applyAt(next, change[0], change)
  return next
}

function applyAt(state: unknown, path: readonly (string | number)[], change: Change): unknown {
  const [step, ...rest] = path
  if (step === undefined) return change[1]
  if (Array.isArray(state)) {
    const copy = [...state]
    copy[Number(step)] = applyAt(copy[Number(step)], rest, change)
    return copy
  }
  const before = isPlain(state) ? state : {}
  const entries = Object.entries(before).filter(([key]) => key !== String(step))
  if (rest.length === 0 && change.length === 1) return Object.fromEntries(entries)
  const value = applyAt(Object.hasOwn(before, step) ? before[step] : undefined, rest, change)
  // an own property whatever its name: `__proto__` is data like any other
  return Object.fromEntries([...entries, [String(step), value]])
}

function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
