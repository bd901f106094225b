import { decodeError, type EncodedError, encodeError } from "./error-crossing.js"

/** An error among the fields of a log line, on its way. */
interface CarriedError {
  readonly murmurError: EncodedError
}

/** Fields of a log line in a form that a structured clone can carry. What it cannot carry goes as JSON, or is left out. */
export function carriedFields(fields: object): object {
  return mapValues(fields, (value) => (value instanceof Error ? { murmurError: encodeError(value) } : clonable(value)))
}

/** The fields as the handler gave them; errors are errors again. */
export function revivedFields(fields: object): object {
  return mapValues(fields, (value) => (isCarried(value) ? decodeError(value.murmurError) : value))
}

function mapValues(fields: object, change: (value: unknown) => unknown): object {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, change(value)]))
}

function isCarried(value: unknown): value is CarriedError {
  return typeof value === "object" && value !== null && "murmurError" in value
}

function clonable(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return typeof value === "function" ? undefined : value
  try {
    return structuredClone(value)
  } catch {
    return asJson(value)
  }
}

function asJson(value: object): unknown {
  try {
    return JSON.parse(JSON.stringify(value))
  } catch {
    return undefined
  }
}
