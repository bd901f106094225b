import { z } from "zod"
import type { MurmurEvent } from "../bus/event.js"
import { isMurmurError } from "../errors.js"
import { attributeProblem, attributeReader } from "./attributes.js"
import { compileDataQuery, type DataQuery, parseDataQuery } from "./data-query.js"
import { FilterInput, problem } from "./filter-input.js"

/** Values that attributes of an event are compared with; several are all needed. */
export type AttributeValues = { readonly [attribute: string]: string }

/**
 * A filter that travels: the dialects of CloudEvents Subscriptions on attributes (`id`, `source`, `type`, `subject` = the
 * key, `time`, `producer`, `trust`, `correlationid`, `causationid`, `hops`, any extension), and a query on the data.
 * An attribute that the event does not have matches nothing. `all: []` is always true, `any: []` never.
 *
 * @example
 * { "all": [{ "prefix": { "subject": "acme/" } }, { "data": { "conclusion": "failure", "attempt": { "$gt": 1 } } }] }
 */
export type Filter =
  | { readonly exact: AttributeValues }
  | { readonly prefix: AttributeValues }
  | { readonly suffix: AttributeValues }
  | { readonly all: readonly Filter[] }
  | { readonly any: readonly Filter[] }
  | { readonly not: Filter }
  | { readonly data: DataQuery }

const DIALECTS = "exact, prefix, suffix, all, any, not, data"

/**
 * Checks a filter as somebody wrote it, and copies it.
 *
 * @throws MurmurError `ROUTE_FILTER` with the path of what is wrong in `details.path`
 */
export function parseFilter(json: unknown): Filter {
  return parse(new FilterInput(), json, "", 0)
}

/** {@link parseFilter} as a zod schema, to be part of others. */
export const filterSchema: z.ZodType<Filter> = z.unknown().transform((value, context): Filter => {
  try {
    return parseFilter(value)
  } catch (error) {
    if (!isMurmurError(error)) throw error
    context.addIssue({ code: "custom", message: error.message })
    return z.NEVER
  }
})

function parse(input: FilterInput, value: unknown, path: string, depth: number): Filter {
  input.visit(path, depth)
  const [entry, ...more] = input.object(value, path, "a filter")
  if (entry === undefined || more.length > 0) {
    throw problem(path, `a filter has exactly one of ${DIALECTS}; join several with "all" or "any"`)
  }
  const [dialect, body] = entry
  const at = path === "" ? dialect : `${path}.${dialect}`
  switch (dialect) {
    case "exact":
      return { exact: attributes(input, body, at, depth + 1) }
    case "prefix":
      return { prefix: attributes(input, body, at, depth + 1) }
    case "suffix":
      return { suffix: attributes(input, body, at, depth + 1) }
    case "all":
      return { all: filters(input, body, at, depth + 1) }
    case "any":
      return { any: filters(input, body, at, depth + 1) }
    case "not":
      return { not: parse(input, body, at, depth + 1) }
    case "data":
      return { data: parseDataQuery(input, body, at, depth + 1) }
    default:
      throw problem(at, `unknown dialect "${dialect}" (known: ${DIALECTS})`)
  }
}

function filters(input: FilterInput, value: unknown, path: string, depth: number): Filter[] {
  input.visit(path, depth)
  return input.list(value, path, "it").map((item, index) => parse(input, item, `${path}[${index}]`, depth + 1))
}

function attributes(input: FilterInput, value: unknown, path: string, depth: number): AttributeValues {
  input.visit(path, depth)
  const entries = input.object(value, path, "it").map(([name, item]): [string, string] => {
    const at = `${path}.${name}`
    input.visit(at, depth + 1)
    const reason = attributeProblem(name)
    if (reason !== undefined) throw problem(at, `cannot look at attribute "${name}": ${reason}`)
    return [name, input.text(item, at, "the value")]
  })
  if (entries.length === 0) throw problem(path, "it needs at least one attribute")
  return Object.fromEntries(entries)
}

/**
 * Compiles a filter once, to be asked often. The predicate never throws: where data is so odd that evaluating it fails,
 * the whole filter says false, also under a `not`.
 *
 * @example
 * const failed = compileFilter(parseFilter({ data: { conclusion: "failure" } }))
 */
export function compileFilter(filter: Filter): (event: MurmurEvent) => boolean {
  const accepts = compile(filter)
  return (event) => {
    try {
      return accepts(event)
    } catch {
      return false
    }
  }
}

type Predicate = (event: MurmurEvent) => boolean

function compile(filter: Filter): Predicate {
  if ("exact" in filter) return compare(filter.exact, (actual, wanted) => actual === wanted)
  if ("prefix" in filter) return compare(filter.prefix, (actual, wanted) => actual.startsWith(wanted))
  if ("suffix" in filter) return compare(filter.suffix, (actual, wanted) => actual.endsWith(wanted))
  if ("all" in filter) return every(filter.all.map(compile))
  if ("any" in filter) {
    const some = filter.any.map(compile)
    return (event) => some.some((accepts) => accepts(event))
  }
  if ("not" in filter) {
    const accepts = compile(filter.not)
    return (event) => !accepts(event)
  }
  const accepts = compileDataQuery(filter.data)
  return (event) => accepts(event.data)
}

function compare(values: AttributeValues, fits: (actual: string, wanted: string) => boolean): Predicate {
  const tests = Object.entries(values).map(([name, wanted]): Predicate => {
    const read = attributeReader(name)
    return (event) => {
      const actual = read(event)
      return actual !== undefined && fits(actual, wanted)
    }
  })
  return every(tests)
}

function every(tests: readonly Predicate[]): Predicate {
  const [only] = tests
  if (only !== undefined && tests.length === 1) return only
  return (event) => tests.every((accepts) => accepts(event))
}
