import { Facts } from "./facts.js"
import type { Filter } from "./filter.js"
import type { Route } from "./route.js"

/**
 * Why no event can fit the route's pattern and filter; `undefined` when one may. What is said here is proven; what
 * is not found may still be impossible. Queries on data are not looked into: a list in the data can equal two values.
 */
export function whyDead(route: Pick<Route, "pattern" | "filter">): string | undefined {
  if (route.filter === undefined) return undefined
  return whyNever(route.filter, Facts.ofPattern(route.pattern))
}

/** Whether it is proven that no event fits both routes. */
export function areDisjoint(a: Pick<Route, "pattern" | "filter">, b: Pick<Route, "pattern" | "filter">): boolean {
  const facts = Facts.ofPattern(a.pattern)
  if (facts.addPattern(b.pattern) !== undefined) return true
  const filters = [a.filter, b.filter].filter((filter) => filter !== undefined)
  return whyNever({ all: filters }, facts) !== undefined
}

/** Why the filter is false for every event of which the facts are true. Facts are not changed. */
function whyNever(filter: Filter, known: Facts): string | undefined {
  if ("all" in filter) return whyNeverAll(filter.all, known)
  if ("any" in filter) return whyNeverAny(filter.any, known)
  if ("not" in filter) return isAlways(filter.not, known) ? 'what stands under "not" is always true' : undefined
  if ("data" in filter) return undefined
  return known.copy().add(filter)
}

function whyNeverAll(filters: readonly Filter[], known: Facts): string | undefined {
  const facts = known.copy()
  const parts = flatten(filters)
  // First all that is plainly demanded, so that the order in which it was written does not matter.
  for (const part of parts) {
    const reason = isFact(part) ? facts.add(part) : undefined
    if (reason !== undefined) return reason
  }
  for (const part of parts) {
    const reason = isFact(part) ? undefined : whyNever(part, facts)
    if (reason !== undefined) return reason
  }
  return undefined
}

function whyNeverAny(filters: readonly Filter[], known: Facts): string | undefined {
  if (filters.length === 0) return '"any" of nothing is never true'
  const reasons = filters.map((filter) => whyNever(filter, known))
  return reasons.every((reason) => reason !== undefined) ? `no branch of "any" can be true: ${reasons[0]}` : undefined
}

/** Whether the filter is proven true for every event of which the facts are true. */
function isAlways(filter: Filter, known: Facts): boolean {
  if ("all" in filter) return filter.all.every((part) => isAlways(part, known))
  if ("any" in filter) return filter.any.some((part) => isAlways(part, known))
  if ("not" in filter) return whyNever(filter.not, known) !== undefined
  if ("data" in filter) return Object.keys(filter.data).length === 0
  return known.imply(filter)
}

type FactFilter = Extract<Filter, { exact: unknown } | { prefix: unknown } | { suffix: unknown }>

function isFact(filter: Filter): filter is FactFilter {
  return "exact" in filter || "prefix" in filter || "suffix" in filter
}

function flatten(filters: readonly Filter[]): Filter[] {
  return filters.flatMap((filter) => ("all" in filter ? flatten(filter.all) : [filter]))
}
