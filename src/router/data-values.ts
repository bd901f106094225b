/** A value that can be a key of a map. */
export type Primitive = string | number | boolean

/**
 * The primitive values that a query on `path` would compare with: lists on the way are looked into, as sift does, so one
 * path can lead to several. Never throws and never recurses, whatever the data is.
 */
export function valuesAt(data: unknown, path: readonly string[]): readonly Primitive[] | ReadonlySet<Primitive> {
  try {
    const direct = follow(data, path)
    if (direct === LIST) return walk(data, path)
    return isPrimitive(direct) ? [direct] : []
  } catch {
    // A getter that throws would throw in the query too, where it means "no match".
    return []
  }
}

const LIST = Symbol("list")

/** The way without lists: nearly all data. */
function follow(data: unknown, path: readonly string[]): unknown {
  let value = data
  for (const step of path) {
    if (value === undefined || value === null) return undefined
    if (Array.isArray(value)) return LIST
    value = (value as Record<string, unknown>)[step]
  }
  return Array.isArray(value) ? LIST : comparable(value)
}

function walk(data: unknown, path: readonly string[]): ReadonlySet<Primitive> {
  const found = new Set<Primitive>()
  const open: { value: unknown; depth: number }[] = [{ value: data, depth: 0 }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value, depth } = next
    const step = path[depth]
    if (Array.isArray(value) && !isIndexOf(value, step)) {
      for (const item of value) open.push({ value: item, depth })
    } else if (step === undefined) {
      const primitive = comparable(value)
      if (isPrimitive(primitive)) found.add(primitive)
    } else if (value !== undefined && value !== null) {
      open.push({ value: (value as Record<string, unknown>)[step], depth: depth + 1 })
    }
  }
  return found
}

/** Whether the step names an item (or the length) of the list rather than a field of its items. */
function isIndexOf(list: unknown[], step: string | undefined): boolean {
  return step !== undefined && (!Number.isNaN(Number(step)) || Object.hasOwn(list, step))
}

/** What sift compares: dates by their time, others by what they are as JSON. */
function comparable(value: unknown): unknown {
  if (value instanceof Date) return value.getTime()
  const toJson = (value as { toJSON?: unknown } | null | undefined)?.toJSON
  return typeof toJson === "function" ? toJson.call(value) : value
}

function isPrimitive(value: unknown): value is Primitive {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
}
