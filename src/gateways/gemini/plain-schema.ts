import type { JsonSchema } from "../completion.js"

/** Keywords whose value is schemas by name. */
const NAMED = new Set(["properties", "$defs", "patternProperties"])

/**
 * The schema in the words that Gemini knows: a constant is an enumeration of one there. What else it does not know it
 * passes over; the answer is checked against the whole schema when it is there.
 */
export function plainSchema(schema: JsonSchema): JsonSchema {
  const plain: Record<string, unknown> = {}
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === "$schema") continue
    if (keyword === "const") {
      if (typeof value === "string" || typeof value === "number") plain.enum = [value]
    } else if (NAMED.has(keyword) && isRecord(value)) {
      plain[keyword] = Object.fromEntries(Object.entries(value).map(([name, each]) => [name, inner(each)]))
    } else plain[keyword] = keyword === "enum" || keyword === "default" ? value : inner(value)
  }
  return plain
}

function inner(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inner)
  return isRecord(value) ? plainSchema(value) : value
}

function isRecord(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
