/** The same JSON with secrets taken out of all its texts, names of fields included. */
export function redactAll<T>(value: T, redact: (text: string) => string): T {
  return redacted(value, redact) as T
}

function redacted(value: unknown, redact: (text: string) => string): unknown {
  if (typeof value === "string") return redact(value)
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map((each) => redacted(each, redact))
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [redact(name), redacted(each, redact)]))
}
