import { covers, overlaps, type Pattern } from "./pattern.js"

/** Drops the patterns that another one covers. Sorted, without repeats: the same set gives the same list. */
export function collapse(patterns: Iterable<Pattern>): Pattern[] {
  const distinct = [...new Set(patterns)].sort()
  return distinct.filter((pattern) => !distinct.some((other) => other !== pattern && covers(other, pattern)))
}

/**
 * The filters that the consumer of an agent with these patterns should have. One pattern when they share at least their
 * first token: the narrowest that covers them all (a second filter costs a consumer two thirds of its rate, what one
 * wide filter lets through besides is skipped by the route). Else the collapsed list. No two patterns of the list
 * overlap, as the server refuses such filters (10138); where they would, the narrowest pattern over both takes their
 * place. Empty for no patterns: such an agent must have no consumer, since no filter means every event.
 *
 * @example
 * coverOf([parsePattern("ci.run.completed"), parsePattern("ci.run.started")]) // ["ci.run.*"]
 */
export function coverOf(patterns: Iterable<Pattern>): Pattern[] {
  const collapsed = collapse(patterns)
  const [first, ...rest] = collapsed
  if (first === undefined) return []
  const single = rest.reduce(join, first)
  return /^[*>]/.test(single) ? disjoint(collapsed) : [single]
}

/** The narrowest pattern that covers both. */
function join(a: Pattern, b: Pattern): Pattern {
  const left = a.split(".")
  const right = b.split(".")
  const sameShape = left.length === right.length && left.at(-1) !== ">" && right.at(-1) !== ">"
  // ">" needs a token to stand for, so "a.b" and "a.b.c" have only "a.>" in common.
  const fixed = sameShape ? left.length : Math.min(left.length, right.length) - 1
  const tokens = left.slice(0, fixed).map((token, index) => (token === right[index] ? token : "*"))
  if (!sameShape) tokens.push(">")
  return tokens.join(".") as Pattern
}

function disjoint(patterns: Pattern[]): Pattern[] {
  for (const [index, a] of patterns.entries()) {
    const b = patterns.slice(index + 1).find((other) => overlaps(a, other))
    if (b === undefined) continue
    const others = patterns.filter((pattern) => pattern !== a && pattern !== b)
    return disjoint(collapse([...others, join(a, b)]))
  }
  return patterns
}
