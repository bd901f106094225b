import { MurmurError } from "../errors.js"

/** Any JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

/** How deep a filter may be nested, queries on data included. */
export const FILTER_DEPTH_MAX = 12
/** How many values (objects, lists, texts, numbers) a filter may hold. */
export const FILTER_VALUES_MAX = 512
/** How long a text in a filter may be, in characters. */
export const FILTER_TEXT_MAX = 1_024

/** Names that every object inherits: a query on them would look at JavaScript instead of at the data. */
const INHERITED = new Set([...Object.getOwnPropertyNames(Object.prototype), "toJSON"])

/** Reads an untrusted filter value by value, knows where it is, and stops at the bounds above. */
export class FilterInput {
  #values = 0

  /** Counts one value against the bounds. Call it for whatever is read, before looking inside. */
  visit(path: string, depth: number): void {
    this.#values += 1
    if (this.#values > FILTER_VALUES_MAX) throw problem(path, `the filter has more than ${FILTER_VALUES_MAX} values`)
    if (depth > FILTER_DEPTH_MAX) throw problem(path, `the filter is nested deeper than ${FILTER_DEPTH_MAX}`)
  }

  object(value: unknown, path: string, what: string): [name: string, value: unknown][] {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw problem(path, `${what} must be an object, is ${show(value)}`)
    }
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) throw problem(path, `${what} must be a plain JSON object`)
    return Object.entries(value)
  }

  list(value: unknown, path: string, what: string): unknown[] {
    if (!Array.isArray(value)) throw problem(path, `${what} must be a list, is ${show(value)}`)
    return value
  }

  text(value: unknown, path: string, what: string): string {
    if (typeof value !== "string" || value === "" || value.length > FILTER_TEXT_MAX) {
      throw problem(path, `${what} must be a text of 1 to ${FILTER_TEXT_MAX} characters, is ${show(value)}`)
    }
    return value
  }

  /** A copy of plain data to compare with. `$` keys in it are refused: they would be compared, not evaluated. */
  literal(value: unknown, path: string, depth: number): Json {
    this.visit(path, depth)
    if (value === null || typeof value === "boolean") return value
    if (typeof value === "number" && Number.isFinite(value)) return value
    if (typeof value === "string") return value === "" ? value : this.text(value, path, "a value")
    if (Array.isArray(value)) return value.map((item, index) => this.literal(item, `${path}[${index}]`, depth + 1))
    if (typeof value !== "object") throw problem(path, `${show(value)} is not a JSON value`)
    const entries = this.object(value, path, "a value").map(([name, item]): [string, Json] => {
      if (name.startsWith("$")) {
        throw problem(path, `operator "${name}" inside of a value: write the path with dots, such as "run.attempt"`)
      }
      if (INHERITED.has(name)) throw problem(path, `the name "${name}" cannot be queried`)
      return [name, this.literal(item, `${path}.${name}`, depth + 1)]
    })
    return Object.fromEntries(entries)
  }

  /** A path into the data, its steps joined by dots. */
  dataPath(name: string, path: string): string {
    const steps = this.text(name, path, "a path").split(".")
    const bad = steps.find((step) => step === "" || INHERITED.has(step))
    if (bad === undefined && steps.length <= FILTER_DEPTH_MAX) return name
    if (bad === undefined) throw problem(path, `"${name}" has more than ${FILTER_DEPTH_MAX} steps`)
    throw problem(path, bad === "" ? `"${name}" has an empty step` : `the name "${bad}" cannot be queried`)
  }
}

/** The error of a filter that cannot be used, with the place in it. */
export function problem(path: string, reason: string): MurmurError {
  const where = path === "" ? "" : ` at "${path}"`
  return new MurmurError(`Cannot use the filter: ${reason}${where}`, {
    code: "ROUTE_FILTER",
    details: { path, reason },
  })
}

/** A value as an error message shows it: JSON, cut short. */
export function show(value: unknown): string {
  if (value === undefined || typeof value === "function" || typeof value === "bigint" || typeof value === "symbol") {
    return typeof value
  }
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object"
  const json = JSON.stringify(value)
  return json.length > 60 ? `${json.slice(0, 60)}...` : json
}
