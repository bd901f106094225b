type Json = Readonly<Record<string, unknown>>

/** The smallest thing that fits a JSON Schema, as far as examples go: no patterns, no references. */
export function sampleOf(schema: unknown): unknown {
  const {
    type,
    enum: choices,
    const: only,
    anyOf,
    oneOf,
    properties,
    required,
    items,
    minItems,
  } = schema as Json & {
    readonly properties?: Json
    readonly required?: readonly string[]
    readonly minItems?: number
    readonly anyOf?: readonly unknown[]
    readonly oneOf?: readonly unknown[]
    readonly enum?: readonly unknown[]
  }
  if (only !== undefined) return only
  if (choices !== undefined) return choices[0]
  const [first] = anyOf ?? oneOf ?? []
  if (first !== undefined) return sampleOf(first)
  switch (type) {
    case "object":
      return Object.fromEntries((required ?? []).map((name) => [name, sampleOf(properties?.[name] ?? {})]))
    case "array":
      return Array.from({ length: Math.max(1, minItems ?? 1) }, () => sampleOf(items ?? {}))
    case "integer":
    case "number":
      return numberFor(schema as Json)
    case "boolean":
      return true
    case "null":
      return null
    default:
      return textFor(schema as Json)
  }
}

function numberFor({ minimum, exclusiveMinimum }: Json): number {
  const least = typeof minimum === "number" ? minimum : 1
  return typeof exclusiveMinimum === "number" ? Math.max(least, exclusiveMinimum + 1) : Math.max(least, 1)
}

function textFor({ format, minLength }: Json): string {
  if (format === "date-time") return "2026-01-01T00:00:00.000Z"
  if (format === "email") return "ann@example.test"
  if (format === "uri") return "https://example.test/page"
  return "text ".repeat(Math.ceil(Math.max(5, Number(minLength ?? 0)) / 5)).trim()
}
