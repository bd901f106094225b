import sift from "sift"
import { ensureError } from "../errors.js"
import { type FilterInput, type Json, problem, show } from "./filter-input.js"

/**
 * A MongoDB-like query on an event's data, evaluated by sift. Fields are paths with dots; several are all needed. A field
 * that holds a list matches when one of its items does, so `{tags: "a"}` finds `["a", "b"]`.
 *
 * Operators: `$eq $ne $gt $gte $lt $lte $in $nin $exists $type $size $mod $all $elemMatch $not` on fields, and
 * `$and $or $nor $not` on queries. Not offered, because filters travel and run on every node: `$where` (runs code) and
 * `$regex` (one expression can stop a node for minutes). Use a predicate in code (`Event.where`) for these.
 */
export type DataQuery = { readonly [pathOrOperator: string]: Json }

const OPERATIONS = {
  $eq: sift.$eq,
  $ne: sift.$ne,
  $gt: sift.$gt,
  $gte: sift.$gte,
  $lt: sift.$lt,
  $lte: sift.$lte,
  $in: sift.$in,
  $nin: sift.$nin,
  $exists: sift.$exists,
  $type: sift.$type,
  $size: sift.$size,
  $mod: sift.$mod,
  $all: sift.$all,
  $elemMatch: sift.$elemMatch,
  $not: sift.$not,
  $and: sift.$and,
  $or: sift.$or,
  $nor: sift.$nor,
}

const LOGIC = new Set(["$and", "$or", "$nor"])
const TYPES = ["number", "string", "bool", "array", "null"]
const WHY_NOT: Readonly<Record<string, string>> = {
  $where: "$where would run code that travelled: use a predicate in code (Event.where)",
  $regex: '$regex is not offered (one expression can stop a node): use "prefix" or "suffix", or a predicate in code',
  $options: "$regex is not offered",
}

/**
 * Checks a query and copies it.
 *
 * @throws MurmurError `ROUTE_FILTER` with the path of what is wrong
 */
export function parseDataQuery(input: FilterInput, value: unknown, path: string, depth: number): DataQuery {
  input.visit(path, depth)
  const query: Record<string, Json> = {}
  for (const [name, item] of input.object(value, path, "a query")) {
    const at = `${path}.${name}`
    if (name === "$exists") throw problem(at, "$exists stands on a field, not on a whole query")
    if (LOGIC.has(name)) query[name] = queries(input, name, item, at, depth + 1)
    else if (name.startsWith("$")) query[name] = operand(input, name, item, at, depth + 1)
    else query[input.dataPath(name, at)] = condition(input, item, at, depth + 1)
  }
  return query
}

function queries(input: FilterInput, name: string, value: unknown, path: string, depth: number): Json {
  input.visit(path, depth)
  const items = input.list(value, path, name)
  if (items.length === 0) throw problem(path, `${name} needs at least one query`)
  return items.map((item, index) => parseDataQuery(input, item, `${path}[${index}]`, depth + 1))
}

/** What a field is asked: operators, or a value that it must equal. */
function condition(input: FilterInput, value: unknown, path: string, depth: number): Json {
  const operators = operatorsOf(value)
  if (operators.length === 0) return input.literal(value, path, depth)
  input.visit(path, depth)
  return Object.fromEntries(
    input.object(value, path, "operators").map(([name, item]): [string, Json] => {
      const at = `${path}.${name}`
      if (!name.startsWith("$")) throw problem(at, `"${name}" stands beside operators: write its path with dots`)
      if (LOGIC.has(name)) throw problem(at, `${name} joins whole queries: write it around the field`)
      return [name, operand(input, name, item, at, depth + 1)]
    }),
  )
}

function operatorsOf(value: unknown): string[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return []
  return Object.keys(value).filter((name) => name.startsWith("$"))
}

function operand(input: FilterInput, name: string, value: unknown, path: string, depth: number): Json {
  switch (name) {
    case "$elemMatch":
    case "$not":
      return parseDataQuery(input, value, path, depth)
    case "$in":
    case "$nin":
    case "$all":
      return input.literal(input.list(value, path, name), path, depth)
    case "$eq":
    case "$ne":
    case "$gt":
    case "$gte":
    case "$lt":
    case "$lte":
      return input.literal(value, path, depth)
    default:
      input.visit(path, depth)
      return checked(name, value, path)
  }
}

/** Operators with an operand of their own kind. */
function checked(name: string, value: unknown, path: string): Json {
  const rule = RULES[name]
  if (rule === undefined) {
    const known = Object.keys(OPERATIONS).join(", ")
    throw problem(path, WHY_NOT[name] ?? `unknown operator "${name}" (known: ${known})`)
  }
  if (!rule.fits(value)) throw problem(path, `${name} takes ${rule.takes}, is ${show(value)}`)
  return value as Json
}

const whole = (value: unknown): boolean => Number.isSafeInteger(value)

const RULES: Readonly<Record<string, { takes: string; fits: (value: unknown) => boolean }>> = {
  $exists: { takes: "true or false", fits: (value) => typeof value === "boolean" },
  $size: { takes: "a whole number", fits: (value) => whole(value) && Number(value) >= 0 },
  $type: { takes: `one of ${TYPES.join(", ")}`, fits: (value) => TYPES.includes(String(value)) },
  $mod: {
    takes: "[divisor, remainder]",
    fits: (value) => Array.isArray(value) && value.length === 2 && value.every(whole) && value[0] !== 0,
  },
}

/**
 * Compiles a checked query. What it returns may throw on data that no JSON holds; `compileFilter` catches that.
 *
 * @throws MurmurError `ROUTE_FILTER` when sift refuses the query
 */
export function compileDataQuery(query: DataQuery): (data: unknown) => boolean {
  try {
    const tester = sift.createQueryTester<unknown>(query, { operations: OPERATIONS })
    return (data) => tester(data)
  } catch (error) {
    throw problem("data", ensureError(error).message)
  }
}
