import type { JsonSchema } from "../completion.js"

/** What OpenAI holds a model to in strict mode; anything else in a schema is refused there. */
const KEYWORDS = new Set([
  ...["type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "$ref", "$defs"],
  ...["title", "description", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  ...["minItems", "maxItems", "pattern", "format"],
])
const FORMATS = new Set(["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"])
const LOOK_AROUND = /\(\?(=|!|<=|<!)/
const DEPTH_MAX = 10

/**
 * Whether a schema qualifies for strict mode: an object at its root, every object closed and all its properties required,
 * and no keyword that strict mode does not know. A schema that does not is sent all the same, and is advice then.
 */
export function isStrict(schema: JsonSchema): boolean {
  return schema.type === "object" && schema.anyOf === undefined && fits(schema, 1)
}

function fits(schema: unknown, depth: number): boolean {
  if (!isRecord(schema) || depth > DEPTH_MAX) return false
  if (!Object.keys(schema).every((keyword) => KEYWORDS.has(keyword))) return false
  if (!textFits(schema) || !objectFits(schema)) return false
  return below(schema).every((inner) => fits(inner, depth + 1))
}

function textFits({ format, pattern }: JsonSchema): boolean {
  if (format !== undefined && !FORMATS.has(String(format))) return false
  return pattern === undefined || !LOOK_AROUND.test(String(pattern))
}

function objectFits({ type, properties, required, additionalProperties }: JsonSchema): boolean {
  if (type !== "object" && properties === undefined) return true
  if (additionalProperties !== false || !isRecord(properties) || !Array.isArray(required)) return false
  return Object.keys(properties).every((name) => required.includes(name))
}

function below({ properties, items, anyOf, $defs }: JsonSchema): unknown[] {
  const named = [properties, $defs].flatMap((group) => (isRecord(group) ? Object.values(group) : []))
  return [...named, ...(items === undefined ? [] : [items]), ...(Array.isArray(anyOf) ? anyOf : [])]
}

function isRecord(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
