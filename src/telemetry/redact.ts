import { formsOf, secretsOf } from "./secrets.js"

/** What stands in the place of a secret. */
export const REDACTED = "[redacted]"

const DEPTH_MAX = 8
const ITEMS_MAX = 1_000
const KEYS_REMEMBERED_MAX = 2_000

const SECRET_WORD =
  /^(?:pass|passwd|password|passphrase|pwd|secret|secrets|token|authorization|cookie|credential|credentials|creds|jwt|apikey)$/
const SECRET_PAIR = /(?:^|_)(?:api|private|access|signing|encryption|secret|seed)_key$/

/** Takes secrets out of what leaves the process: logs, traces, dead letters. */
export interface Redactor {
  /** The text without known secret values, bearer tokens and passwords in URLs. */
  text(text: string): string
  /**
   * A copy in plain JSON terms without secrets: by value as {@link Redactor.text}, and whole values under keys that are
   * called like a secret. Errors become `{ type, message, code, stack, details, cause }`. Never throws; what is nested
   * deeper than 8 or has more than 1,000 items is cut.
   */
  value(value: unknown): unknown
}

/**
 * Makes a redactor of the secrets in an environment.
 *
 * @param more further secret values, such as a token given on the command line
 * @example
 * const redactor = createRedactor(process.env)
 * redactor.value({ url: "nats://me:pw@host", apiKey: "x" }) // { url: "nats://[redacted]@host", apiKey: "[redacted]" }
 */
export function createRedactor(
  env: Readonly<Record<string, string | undefined>>,
  more: readonly string[] = [],
): Redactor {
  const known = matcher([...secretsOf(env), ...more.filter((secret) => secret !== "")])
  const text = (input: string): string => {
    const output = known === undefined ? input : input.replace(known, REDACTED)
    return mayHoldCredentials(output) ? withoutCredentials(output) : output
  }
  return { text, value: (value) => copy(value, text, 0, new Set()) }
}

function matcher(secrets: string[]): RegExp | undefined {
  if (secrets.length === 0) return undefined
  const forms = [...new Set(secrets.flatMap(formsOf))].sort((a, b) => b.length - a.length)
  return new RegExp(forms.map((form) => form.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|"), "g")
}

const mayHoldCredentials = (text: string): boolean => text.includes("://") || /\b(?:bearer|basic) /i.test(text)

function withoutCredentials(text: string): string {
  return text
    .replace(/(:\/\/)[^\s/@?#"']+@/g, `$1${REDACTED}@`)
    .replace(/\b(bearer|basic) +(?=\S*[\d=._-]|\S{24})[\w.~+/=-]{8,}/gi, `$1 ${REDACTED}`)
}

type Text = (text: string) => string

function copy(value: unknown, text: Text, depth: number, above: Set<object>): unknown {
  if (typeof value === "string") return text(value)
  if (typeof value === "bigint") return value.toString()
  if (typeof value === "function" || typeof value === "symbol") return undefined
  if (typeof value !== "object" || value === null) return value
  if (above.has(value)) return "[circular]"
  if (depth >= DEPTH_MAX) return "[deep]"
  above.add(value)
  try {
    return copyObject(value, text, depth + 1, above)
  } catch (error) {
    return `[unreadable: ${text(String(error))}]` // a getter or toJSON that throws must not take the log line with it
  } finally {
    above.delete(value)
  }
}

function copyObject(value: object, text: Text, depth: number, above: Set<object>): unknown {
  if (Array.isArray(value)) return value.slice(0, ITEMS_MAX).map((item) => copy(item, text, depth, above))
  if (value instanceof Error) return copyEntries(errorFields(value), text, depth, above)
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
  if (value instanceof Map) return copyEntries(Object.fromEntries(value), text, depth, above)
  if (value instanceof Set) return copyObject([...value], text, depth, above)
  if ("toJSON" in value && typeof value.toJSON === "function") return copy(value.toJSON(), text, depth, above)
  return copyEntries(value, text, depth, above)
}

function copyEntries(value: object, text: Text, depth: number, above: Set<object>): Record<string, unknown> {
  const entries: [string, unknown][] = []
  for (const [key, item] of Object.entries(value).slice(0, ITEMS_MAX)) {
    entries.push([text(key), isSecretKey(key) ? hide(item) : copy(item, text, depth, above)])
  }
  return Object.fromEntries(entries) // defines own properties, so a key called __proto__ stays a key
}

/** Absence and flags tell nothing and help to find a fault: `token: undefined`, `secret: false`. */
function hide(value: unknown): unknown {
  return value === undefined || value === null || typeof value === "boolean" || value === "" ? value : REDACTED
}

function errorFields(error: Error): object {
  const fields: Record<string, unknown> = { type: error.name, message: error.message, ...ownFields(error) }
  fields.stack = error.stack
  if (error.cause !== undefined) fields.cause = error.cause
  return fields
}

/** What an error carries besides the standard fields: `code`, `details`, what a library adds. */
const ownFields = (error: object): object => ({ ...error })

const remembered = new Map<string, boolean>()

/** Whether a key is called like a secret: `apiKey`, `x-access-token`, `DB_PASSWORD`; not `key`, `tokens`, `tokenCount`. */
export function isSecretKey(key: string): boolean {
  const before = remembered.get(key)
  if (before !== undefined) return before
  const words = key
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "")
  const secret = SECRET_WORD.test(words.at(-1) ?? "") || SECRET_PAIR.test(words.join("_"))
  if (remembered.size < KEYS_REMEMBERED_MAX) remembered.set(key, secret)
  return secret
}
