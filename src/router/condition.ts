import type { DataQuery } from "./data-query.js"
import type { Filter } from "./filter.js"
import type { Json } from "./filter-input.js"

/** A fact that can be looked up in a map instead of being evaluated route by route. */
export type Condition =
  | { readonly kind: "exact" | "prefix" | "suffix"; readonly attribute: string; readonly value: string }
  | { readonly kind: "data"; readonly path: string; readonly value: string | number | boolean }

/** One of these holds whenever the filter accepts. */
export type Alternatives = readonly Condition[]

/** More alternatives than this are evaluated instead of being indexed. */
const ALTERNATIVES_MAX = 64

/**
 * What must hold for the filter to accept an event, as far as it can be looked up: every entry is necessary, and of its
 * alternatives one. Best first: equality before prefix and suffix. Empty when nothing can be looked up (a `not`, a
 * comparison, an `any` with such a branch): such a route is evaluated for each event that fits its pattern.
 */
export function necessaryConditions(filter: Filter): Alternatives[] {
  return [...conditions(filter)].sort((a, b) => rank(a) - rank(b))
}

function conditions(filter: Filter): Alternatives[] {
  if ("exact" in filter) return attributeConditions("exact", filter.exact)
  if ("prefix" in filter) return attributeConditions("prefix", filter.prefix)
  if ("suffix" in filter) return attributeConditions("suffix", filter.suffix)
  if ("all" in filter) return filter.all.flatMap(conditions)
  if ("any" in filter) return oneOf(filter.any.map(necessaryConditions))
  if ("not" in filter) return []
  return dataConditions(filter.data)
}

function attributeConditions(kind: "exact" | "prefix" | "suffix", values: Record<string, string>): Alternatives[] {
  return Object.entries(values).map(([attribute, value]) => [{ kind, attribute, value }])
}

/** A choice can be looked up when each of its branches can. */
function oneOf(branches: Alternatives[][]): Alternatives[] {
  const joined: Condition[] = []
  for (const [best] of branches) {
    if (best === undefined || joined.length + best.length > ALTERNATIVES_MAX) return []
    joined.push(...best)
  }
  return [joined]
}

function dataConditions(query: DataQuery): Alternatives[] {
  return Object.entries(query).flatMap(([name, value]): Alternatives[] => {
    if (name === "$and") return queriesIn(value).flatMap(dataConditions)
    if (name === "$or") return oneOf(queriesIn(value).map(dataConditions))
    return name.startsWith("$") ? [] : fieldConditions(name, value)
  })
}

const queriesIn = (value: Json): DataQuery[] => (Array.isArray(value) ? (value as DataQuery[]) : [])

function fieldConditions(path: string, asked: Json): Alternatives[] {
  const values = equalTo(asked)
  if (values === undefined || values.length > ALTERNATIVES_MAX) return []
  const alternatives: Condition[] = []
  for (const value of values) {
    // null also equals a field that is missing, and lists and objects are no map keys: those are evaluated.
    if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") return []
    alternatives.push({ kind: "data", path, value })
  }
  return [alternatives]
}

/** The values of which the field must hold one, when it is asked for equality. */
function equalTo(asked: Json): readonly Json[] | undefined {
  if (typeof asked !== "object") return [asked]
  if (asked === null || Array.isArray(asked)) return undefined
  const { $eq, $in } = asked as { $eq?: Json; $in?: readonly Json[] }
  return $eq === undefined ? $in : [$eq]
}

const RANK = { exact: 0, data: 1, prefix: 2, suffix: 3 }

function rank(alternatives: Alternatives): number {
  return Math.max(0, ...alternatives.map(({ kind }) => RANK[kind]))
}
