import type { JsonSchema } from "../completion.js"

/** What stays as it is: it says nothing that a model could be held to otherwise. */
const KEPT = new Set(["type", "enum", "const", "$ref", "title", "description", "required"])
/** Bounds, which Anthropic refuses. The answer is checked against the whole schema when it is there. */
const BOUNDS = new Set([
  ...["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern"],
  ...["minItems", "maxItems", "uniqueItems", "default", "examples", "$schema", "$id", "readOnly", "writeOnly"],
  ...["deprecated", "contentEncoding", "contentMediaType"],
])
const FORMATS = new Set([
  ...["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"],
])
const DEPTH_MAX = 20

/** Thrown within this file only: the schema says something that leaving out would change. */
class Unfit extends Error {}

/**
 * The schema as Anthropic takes it for an answer: without bounds, all objects closed. `undefined` where that would leave
 * something out that the answer needs: objects with any keys, tuples, schemas that contain themselves, no object at all.
 */
export function outputSchema(schema: JsonSchema): JsonSchema | undefined {
  if (schema.type !== "object" || containsItself(schema)) return undefined
  try {
    return accepted(schema, 0)
  } catch (error) {
    if (error instanceof Unfit) return undefined
    throw error
  }
}

/** Whether following a definition's references can lead back to it, or any leads to the whole. */
function containsItself({ $defs, ...root }: JsonSchema): boolean {
  const definitions = isRecord($defs) ? $defs : {}
  const leadsBack = (value: unknown, path: readonly string[]): boolean =>
    refsIn(value).some((ref) => {
      const name = /^#\/\$defs\/(.+)$/.exec(ref)?.[1]
      return name === undefined || path.includes(name) || leadsBack(definitions[name], [...path, name])
    })
  return leadsBack(root, [])
}

function refsIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(refsIn)
  if (!isRecord(value)) return []
  return Object.entries(value).flatMap(([key, each]) => (key === "$ref" ? [String(each)] : refsIn(each)))
}

function accepted(schema: unknown, depth: number): JsonSchema {
  if (!isRecord(schema) || depth > DEPTH_MAX) throw new Unfit()
  const keywords = Object.entries(schema).flatMap(([keyword, value]) => {
    return BOUNDS.has(keyword) ? [] : [acceptedKeyword(keyword, value, depth + 1)]
  })
  const rest = Object.fromEntries(keywords.filter(([, value]) => value !== undefined))
  if (schema.type !== "object" && schema.properties === undefined) return rest
  // An object that takes any keys and names none is a record: closed, it could only be empty.
  if (isRecord(schema.additionalProperties) || schema.properties === undefined) throw new Unfit()
  return { ...rest, additionalProperties: false }
}

function acceptedKeyword(keyword: string, value: unknown, depth: number): readonly [string, unknown] {
  if (KEPT.has(keyword)) return [keyword, value]
  if (keyword === "format") return [keyword, FORMATS.has(String(value)) ? value : undefined]
  if (keyword === "additionalProperties") return [keyword, undefined]
  if (keyword === "items") return [keyword, accepted(value, depth)]
  if (keyword === "anyOf" || keyword === "oneOf") return ["anyOf", all(value).map((each) => accepted(each, depth))]
  if (keyword === "allOf") return [keyword, all(value).map((each) => accepted(each, depth))]
  if (keyword === "properties" || keyword === "$defs") return [keyword, named(value, depth)]
  throw new Unfit()
}

function named(group: unknown, depth: number): JsonSchema {
  if (!isRecord(group)) throw new Unfit()
  return Object.fromEntries(Object.entries(group).map(([name, each]) => [name, accepted(each, depth)]))
}

function all(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new Unfit()
  return value
}

function isRecord(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
