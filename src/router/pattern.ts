import { MurmurError } from "../errors.js"

declare const brand: unique symbol

/**
 * A pattern on event types with NATS wildcards: `*` is exactly one token, `>` is one or more tokens and stands last.
 * Made by {@link parsePattern} only.
 */
export type Pattern = string & { readonly [brand]: true }

const TOKEN = /^[A-Za-z0-9_-]+$/
const PATTERN_LENGTH_MAX = 200

/**
 * Checks a pattern as somebody wrote it.
 *
 * @throws MurmurError `ROUTE_PATTERN` that says which token is wrong and why
 * @example
 * parsePattern("ci.run.*")
 */
export function parsePattern(text: string): Pattern {
  const reason = patternProblem(text)
  if (reason === undefined) return text as Pattern
  throw new MurmurError(
    `Cannot use ${JSON.stringify(text)} as a pattern: ${reason}. A pattern is a type such as "ci.run.completed", in which a token may be "*" and the last may be ">"`,
    { code: "ROUTE_PATTERN", details: { pattern: text, reason } },
  )
}

function patternProblem(text: string): string | undefined {
  if (text === "") return "it is empty"
  if (text.length > PATTERN_LENGTH_MAX)
    return `it has ${text.length} characters, at most ${PATTERN_LENGTH_MAX} are allowed`
  const tokens = text.split(".")
  for (const [index, token] of tokens.entries()) {
    const reason = tokenProblem(token, index === tokens.length - 1)
    if (reason !== undefined) return `token ${index + 1} ${reason}`
  }
  return undefined
}

function tokenProblem(token: string, last: boolean): string | undefined {
  if (token === "") return "is empty (a dot too many)"
  if (token === "*") return undefined
  if (token === ">") return last ? undefined : 'is ">", which must be the last token'
  if (TOKEN.test(token)) return undefined
  const wildcard = /[*>]/.exec(token)?.[0]
  if (wildcard !== undefined) return `is "${token}": a wildcard must stand alone, as in "ci.${wildcard}"`
  return `is ${JSON.stringify(token)}: only letters, digits, "_" and "-" are allowed`
}

/** Whether the pattern names one type only. */
export function isLiteral(pattern: Pattern): boolean {
  return !pattern.includes("*") && !pattern.endsWith(">")
}

/** Whether an event of this type fits the pattern. To match one type against many patterns use a `RouteTable`. */
export function matches(pattern: Pattern, type: string): boolean {
  if (pattern === ">" || pattern === type) return true
  const wanted = pattern.split(".")
  const tokens = type.split(".")
  for (const [index, want] of wanted.entries()) {
    if (index >= tokens.length) return false
    if (want === ">") return true
    if (want !== "*" && want !== tokens[index]) return false
  }
  return wanted.length === tokens.length
}

/** Whether every type that fits `narrow` fits `wide` too. */
export function covers(wide: Pattern, narrow: Pattern): boolean {
  const outer = wide.split(".")
  const inner = narrow.split(".")
  for (const [index, want] of outer.entries()) {
    if (index >= inner.length) return false
    if (want === ">") return true
    if (inner[index] === ">") return false
    if (want !== "*" && want !== inner[index]) return false
  }
  return outer.length === inner.length
}

/** Whether some type fits both patterns. */
export function overlaps(a: Pattern, b: Pattern): boolean {
  const left = a.split(".")
  const right = b.split(".")
  const shared = Math.min(left.length, right.length)
  for (let index = 0; index < shared; index++) {
    const x = left[index]
    const y = right[index]
    if (x === ">" || y === ">") return true
    if (x !== y && x !== "*" && y !== "*") return false
  }
  return left.length === right.length
}
