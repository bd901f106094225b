/** Of a longer path the newest names are kept: what is behind them says nothing about a loop that is going on. */
const NAMES_MAX = 32

const NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/

/** The path of an event that no agent led to. */
export const ROOT_PATH: readonly string[] = Object.freeze([])

/** The path of what `producer` emits because of an event with this path. */
export function extendPath(path: readonly string[], producer: string): readonly string[] {
  return path.length < NAMES_MAX ? [...path, producer] : [...path.slice(1 - NAMES_MAX), producer]
}

/** The path as the attribute `causalpath` holds it; `undefined` at the root, where nothing is written. */
export function pathAttribute(path: readonly string[] | undefined): string | undefined {
  // what was stored before events had a path has none
  return path === undefined || path.length === 0 ? undefined : path.join("/")
}

/**
 * Reads the attribute `causalpath`. A value that murmur would not have written is another's, and no reason to refuse an
 * event: the path begins anew.
 */
export function readPath(attribute: unknown): readonly string[] {
  if (typeof attribute !== "string" || attribute === "") return ROOT_PATH
  const names = attribute.split("/", NAMES_MAX + 1)
  return names.length <= NAMES_MAX && names.every((name) => NAME.test(name)) ? names : ROOT_PATH
}
