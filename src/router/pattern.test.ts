import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { collapse, coverOf } from "./cover.js"
import { covers, matches, overlaps, type Pattern, parsePattern } from "./pattern.js"

const p = parsePattern
const list = (...texts: string[]): Pattern[] => texts.map(p)

/** The same meaning in another way: a regular expression. */
function bruteMatch(pattern: Pattern, type: string): boolean {
  const source = pattern
    .split(".")
    .map((token) => (token === "*" ? "[^.]+" : token === ">" ? ".+" : token))
    .join("\\.")
  return new RegExp(`^${source}$`).test(type)
}

function sequences(tokens: readonly string[], length: number): string[][] {
  if (length === 0) return [[]]
  return sequences(tokens, length - 1).flatMap((start) => tokens.map((token) => [...start, token]))
}

// "z" is in no pattern: it stands for every token that patterns do not name.
const TYPES = [1, 2, 3, 4, 5].flatMap((n) => sequences(["a", "b", "z"], n)).map((tokens) => tokens.join("."))
const PATTERNS = [1, 2, 3]
  .flatMap((n) => sequences(["a", "b", "*", ">"], n))
  .filter((tokens) => !tokens.slice(0, -1).includes(">"))
  .map((tokens) => p(tokens.join(".")))
const MATCHED = new Map(PATTERNS.map((pattern) => [pattern, new Set(TYPES.filter((t) => bruteMatch(pattern, t)))]))

const setOf = (pattern: Pattern): ReadonlySet<string> =>
  MATCHED.get(pattern) ?? new Set(TYPES.filter((type) => bruteMatch(pattern, type)))
const isSubset = (inner: ReadonlySet<string>, outer: ReadonlySet<string>): boolean =>
  [...inner].every((type) => outer.has(type))
const anyPatterns = fc.uniqueArray(fc.constantFrom(...PATTERNS), { minLength: 1, maxLength: 5 })

describe("a pattern", () => {
  it.each([
    ["", "it is empty"],
    ["ci..run", "token 2 is empty"],
    [".ci", "token 1 is empty"],
    ["ci.", "token 2 is empty"],
    ["ci.>.run", 'token 2 is ">", which must be the last token'],
    ["ci.run*", 'token 2 is "run*": a wildcard must stand alone, as in "ci.*"'],
    ["ci.ru n", 'token 2 is "ru n": only letters'],
    ["ci.é", "only letters"],
    [`a${".a".repeat(100)}`, "201 characters"],
  ])("%j is refused with the reason %j", (text, reason) => {
    expect(() => parsePattern(text)).toThrow(expect.objectContaining({ code: "ROUTE_PATTERN" }))
    expect(() => parsePattern(text)).toThrow(reason)
  })

  it("matches, covers and overlaps as sets of types do", () => {
    for (const a of PATTERNS) {
      expect(TYPES.filter((type) => matches(a, type))).toEqual([...setOf(a)])
      for (const b of PATTERNS) {
        expect([a, b, covers(a, b)]).toEqual([a, b, isSubset(setOf(b), setOf(a))])
        expect([a, b, overlaps(a, b)]).toEqual([a, b, [...setOf(a)].some((type) => setOf(b).has(type))])
      }
    }
  })
})

describe("collapse", () => {
  it("drops repeats and what another pattern covers, and sorts", () => {
    expect(collapse(list("ci.run.done", "b.c", "ci.>", "ci.*", "b.c"))).toEqual(["b.c", "ci.>"])
  })

  it("keeps the meaning of the list", () => {
    fc.assert(
      fc.property(anyPatterns, (patterns) => {
        const kept = collapse(patterns)
        for (const type of TYPES) {
          expect(kept.some((k) => matches(k, type))).toBe(patterns.some((q) => matches(q, type)))
        }
        expect(kept.some((k) => kept.some((other) => other !== k && covers(other, k)))).toBe(false)
      }),
      { numRuns: 50 },
    )
  })
})

describe("the cover of patterns", () => {
  it.each([
    [[], []],
    [["a.b"], ["a.b"]],
    [["ci.run.completed", "ci.run.started"], ["ci.run.*"]],
    [["a.b", "a.b.c"], ["a.>"]],
    [["ci.run.completed", "ci.job.completed"], ["ci.*.completed"]],
    [["ci.run.>", "ci.job"], ["ci.>"]],
    [
      ["market.tick", "ci.run.completed"],
      ["ci.run.completed", "market.tick"],
    ],
    [[">", "ci.run"], [">"]],
    [["*.failed", "ci.*"], ["*.*"]],
    [
      ["*.failed", "*.done"],
      ["*.done", "*.failed"],
    ],
    [
      ["a", "b"],
      ["a", "b"],
    ],
  ])("of %j is %j", (patterns, cover) => {
    expect(coverOf(patterns.map(p))).toEqual(cover)
  })

  it("lets everything through that the patterns do, in filters that never overlap", () => {
    fc.assert(
      fc.property(anyPatterns, (patterns) => {
        const cover = coverOf(patterns)
        for (const pattern of patterns) expect(cover.some((c) => covers(c, pattern))).toBe(true)
        for (const [index, c] of cover.entries()) {
          expect(cover.slice(index + 1).some((other) => overlaps(c, other))).toBe(false)
          expect(patterns.some((pattern) => covers(c, pattern))).toBe(true)
        }
      }),
    )
  })

  it("is the narrowest where it is one pattern", () => {
    fc.assert(
      fc.property(anyPatterns, (patterns) => {
        const [single, ...more] = coverOf(patterns)
        if (single === undefined || more.length > 0) return
        const narrower = PATTERNS.filter((c) => c !== single && covers(single, c))
        expect(narrower.filter((c) => patterns.every((pattern) => covers(c, pattern)))).toEqual([])
      }),
    )
  })
})
