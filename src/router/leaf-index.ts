import type { MurmurEvent } from "../bus/event.js"
import { type AttributeReader, attributeReader } from "./attributes.js"
import type { CompiledRoute } from "./compiled-route.js"
import type { Alternatives, Condition } from "./condition.js"
import { type Primitive, valuesAt } from "./data-values.js"

/** Called with each route that may accept the event; it still has to be asked. A route may come more than once. */
export type Visit = (route: CompiledRoute) => void

/** Routes that can be found by one kind of condition on one attribute or path. */
interface Group {
  add(condition: Condition, route: CompiledRoute): void
  /** How many routes share the condition already. */
  crowd(condition: Condition): number
  visit(event: MurmurEvent, visit: Visit): void
}

/**
 * The routes of one pattern. Each is filed under one condition that its filter needs, the one that fewest others share,
 * so that an event meets only the routes whose condition it fulfils. The cost of a look-up is one per attribute or data
 * path that any filter here asks about, and for prefixes and suffixes one per distinct length; it does not grow with the
 * number of values. Routes without such a condition (no filter, `not`, `$gt` and the like) are met by every event.
 */
export class LeafIndex {
  readonly #groups = new Map<string, Group>()
  readonly #evaluated: CompiledRoute[] = []
  #unconditional: CompiledRoute | undefined

  /** The first by precedence of the routes that accept every event of the pattern. */
  get unconditional(): CompiledRoute | undefined {
    return this.#unconditional
  }

  /** Routes must be added in order of precedence. */
  add(route: CompiledRoute): void {
    const place = this.#leastCrowded(route.conditions)
    if (place === undefined) {
      this.#evaluated.push(route)
      if (route.unconditional) this.#unconditional ??= route
      return
    }
    for (const condition of place) this.#group(condition).add(condition, route)
  }

  visit(event: MurmurEvent, visit: Visit): void {
    for (const route of this.#evaluated) visit(route)
    for (const group of this.#groups.values()) group.visit(event, visit)
  }

  #leastCrowded(choices: readonly Alternatives[]): Alternatives | undefined {
    let best: Alternatives | undefined
    let least = Number.POSITIVE_INFINITY
    for (const choice of choices) {
      const crowd = choice.reduce((most, condition) => Math.max(most, this.#crowd(condition)), 0)
      if (crowd >= least) continue
      least = crowd
      best = choice
    }
    return best
  }

  #crowd(condition: Condition): number {
    return this.#groups.get(nameOf(condition))?.crowd(condition) ?? 0
  }

  #group(condition: Condition): Group {
    const name = nameOf(condition)
    const group = this.#groups.get(name) ?? groupFor(condition)
    this.#groups.set(name, group)
    return group
  }
}

function nameOf(condition: Condition): string {
  return `${condition.kind} ${condition.kind === "data" ? condition.path : condition.attribute}`
}

function groupFor(condition: Condition): Group {
  if (condition.kind === "data") return new DataGroup(condition.path)
  if (condition.kind === "exact") return new ExactGroup(condition.attribute)
  return new AffixGroup(condition.attribute, condition.kind)
}

/** Lists of routes by value. */
class Buckets {
  readonly #byValue = new Map<Primitive, CompiledRoute[]>()

  add(value: Primitive, route: CompiledRoute): void {
    const bucket = this.#byValue.get(value)
    if (bucket === undefined) this.#byValue.set(value, [route])
    else bucket.push(route)
  }

  size(value: Primitive): number {
    return this.#byValue.get(value)?.length ?? 0
  }

  visit(value: Primitive, visit: Visit): void {
    const bucket = this.#byValue.get(value)
    if (bucket !== undefined) for (const route of bucket) visit(route)
  }
}

class ExactGroup implements Group {
  readonly #read: AttributeReader
  readonly #buckets = new Buckets()

  constructor(attribute: string) {
    this.#read = attributeReader(attribute)
  }

  add(condition: Condition, route: CompiledRoute): void {
    this.#buckets.add(condition.value, route)
  }

  crowd(condition: Condition): number {
    return this.#buckets.size(condition.value)
  }

  visit(event: MurmurEvent, visit: Visit): void {
    const value = this.#read(event)
    if (value !== undefined) this.#buckets.visit(value, visit)
  }
}

/** Prefixes or suffixes: one map, asked once for each length that occurs in it. */
class AffixGroup implements Group {
  readonly #read: AttributeReader
  readonly #atStart: boolean
  readonly #lengths = new Set<number>()
  readonly #buckets = new Buckets()

  constructor(attribute: string, kind: "prefix" | "suffix") {
    this.#read = attributeReader(attribute)
    this.#atStart = kind === "prefix"
  }

  add(condition: Condition, route: CompiledRoute): void {
    this.#lengths.add(String(condition.value).length)
    this.#buckets.add(condition.value, route)
  }

  crowd(condition: Condition): number {
    return this.#buckets.size(condition.value)
  }

  visit(event: MurmurEvent, visit: Visit): void {
    const value = this.#read(event)
    if (value === undefined) return
    for (const length of this.#lengths) {
      if (length > value.length) continue
      this.#buckets.visit(this.#atStart ? value.slice(0, length) : value.slice(value.length - length), visit)
    }
  }
}

class DataGroup implements Group {
  readonly #path: readonly string[]
  readonly #buckets = new Buckets()

  constructor(path: string) {
    this.#path = path.split(".")
  }

  add(condition: Condition, route: CompiledRoute): void {
    this.#buckets.add(condition.value, route)
  }

  crowd(condition: Condition): number {
    return this.#buckets.size(condition.value)
  }

  visit(event: MurmurEvent, visit: Visit): void {
    for (const value of valuesAt(event.data, this.#path)) this.#buckets.visit(value, visit)
  }
}
