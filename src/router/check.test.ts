import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { MurmurEvent } from "../bus/event.js"
import { checkRoute, type KnownMesh } from "./check.js"
import { compileFilter, parseFilter } from "./filter.js"
import { areDisjoint, whyDead } from "./logic.js"
import { matches, parsePattern } from "./pattern.js"
import { codeRoute, liveRoute, type RouteInput } from "./route.js"
import { RouteTable } from "./table.js"

const mesh: KnownMesh = {
  agents: [
    { name: "ci-triage", on: [parsePattern("ci.run.*")] },
    { name: "ci-flaky", on: [] },
    { name: "market", on: [] },
  ],
  types: ["ci.run.completed", "ci.run.started", "market.tick"],
}
const empty = RouteTable.from([])
const check = (input: RouteInput, table = empty): string[] => checkRoute(table, liveRoute(input), mesh)
const refusal = (code: string): unknown => expect.objectContaining({ code })

describe("adding a route", () => {
  it("is fine when it can match and nothing speaks against it", () => {
    expect(check({ agent: "ci-triage", pattern: "ci.run.completed", filter: { prefix: { type: "ci.run" } } })).toEqual(
      [],
    )
  })

  it("is refused for an agent that nobody knows, with the names that are close", () => {
    const adding = (): unknown => check({ agent: "ci-traige", pattern: "ci.>" })
    expect(adding).toThrow(refusal("ROUTE_AGENT"))
    expect(adding).toThrow('did you mean "ci-triage"')
    expect(() => check({ agent: "zzz", pattern: "ci.>" })).toThrow('known agents: "ci-triage", "ci-flaky", "market"')
  })

  it("is refused when the table has it, from code or live", () => {
    const filter = { exact: { subject: "a" } }
    const table = RouteTable.from([
      codeRoute({ agent: "market", pattern: "market.>" }),
      liveRoute({ agent: "market", pattern: "ci.>", filter }),
    ])
    expect(() => check({ agent: "market", pattern: "market.>" }, table)).toThrow(refusal("ROUTE_DUPLICATE"))
    expect(() => check({ agent: "market", pattern: "ci.>", filter }, table)).toThrow(refusal("ROUTE_DUPLICATE"))
    expect(() => check({ agent: "market", pattern: "market.>", priority: 3 }, table)).toThrow("another priority")
    expect(check({ agent: "market", pattern: "ci.>" }, table)).toEqual([])
  })

  it("is fine beside a route in code that a predicate narrows, since it widens that", () => {
    const table = RouteTable.from([codeRoute({ agent: "market", pattern: "market.>", predicate: () => false })])
    expect(check({ agent: "market", pattern: "market.>" }, table)).toEqual([])
  })

  it.each([
    ["ci.run.*", { exact: { type: "ci.job.done" } }, '"type" starts with "ci.run."'],
    ["ci.*", { exact: { type: "ci.a.b" } }, 'does not fit the pattern "ci.*"'],
    ["ci.run.*", { prefix: { type: "market." } }, "cannot start with both"],
    ["*.failed", { suffix: { type: ".done" } }, "cannot end with both"],
    ["ci.>", { all: [{ exact: { subject: "a" } }, { exact: { subject: "b" } }] }, 'cannot be both "a" and "b"'],
    ["ci.>", { all: [{ prefix: { subject: "b" } }, { all: [{ exact: { subject: "a" } }] }] }, "never"],
    ["ci.>", { all: [{ exact: { subject: "a" } }, { suffix: { subject: "b" } }] }, "does not end with"],
    ["ci.>", { all: [{ prefix: { id: "a" } }, { prefix: { id: "b" } }] }, "cannot start with both"],
    ["ci.>", { all: [{ not: { prefix: { id: "a" } } }, { exact: { id: "ab" } }] }, "always true"],
    ["ci.run", { not: { exact: { type: "ci.run" } } }, "always true"],
    ["ci.run.*", { not: { any: [{ data: { a: 1 } }, { prefix: { type: "ci." } }] } }, "always true"],
    ["ci.>", { not: { all: [] } }, "always true"],
    ["ci.>", { not: { not: { any: [] } } }, "always true"],
    ["ci.>", { any: [] }, '"any" of nothing'],
    ["ci.>", { any: [{ exact: { type: "x" } }, { any: [] }] }, 'no branch of "any"'],
    [
      "ci.>",
      { all: [{ any: [{ exact: { id: "a" } }, { exact: { id: "b" } }] }, { prefix: { id: "c" } }] },
      "no branch",
    ],
    ["ci.>", { exact: { trust: "outside" } }, '"trust" is internal or external'],
    ["murmur.inbox.market", undefined, "never routed"],
    ["murmur.inbox.>", undefined, "never routed"],
  ])("%j with %j is refused: no event can take it", (pattern, filter, reason) => {
    expect(() => check({ agent: "market", pattern, filter })).toThrow(refusal("ROUTE_DEAD"))
    expect(() => check({ agent: "market", pattern, filter })).toThrow(reason)
  })

  it.each([
    ["ci.run.*", { exact: { type: "ci.run.done" } }],
    [">", { exact: { type: "a.b" } }],
    ["*.failed", { all: [{ prefix: { type: "ci" } }, { suffix: { type: ".failed" } }] }],
    ["ci.>", { all: [{ data: { tag: "a" } }, { data: { tag: "b" } }] }],
    ["ci.>", { not: { exact: { subject: "a" } } }],
    ["ci.>", { all: [{ exact: { id: "ab" } }, { not: { exact: { id: "a" } } }] }],
    ["murmur.*.market", undefined],
    ["*.run.*", { suffix: { type: ".done" } }],
  ])("%j with %j is not refused: an event may take it", (pattern, filter) => {
    expect(() => check({ agent: "market", pattern, filter })).not.toThrow()
  })

  it("warns when no known type fits, or the agent does not react to such events, or gets them anyway", () => {
    expect(check({ agent: "market", pattern: "market.tik" })).toEqual([
      'No known event type fits "market.tik" (close to it: "market.tick")',
    ])
    expect(check({ agent: "ci-triage", pattern: "market.tick" })).toEqual([expect.stringContaining("does not declare")])
    const table = RouteTable.from([codeRoute({ agent: "market", pattern: "market.>" })])
    expect(check({ agent: "market", pattern: "market.tick" }, table)).toEqual([
      'Agent "market" gets all of these events already, by route "market/market.>"',
    ])
  })
})

describe("adding an exclusive route", () => {
  const rival = liveRoute({
    agent: "ci-flaky",
    pattern: "ci.>",
    exclusive: true,
    filter: { prefix: { subject: "a/" } },
  })
  const table = RouteTable.from([rival, liveRoute({ agent: "market", pattern: ">" })])
  const add = (over: Partial<RouteInput>): string[] =>
    checkRoute(table, liveRoute({ agent: "ci-triage", pattern: "ci.run.*", exclusive: true, ...over }), mesh)

  it("is refused where an event may fit two of the same priority", () => {
    expect(() => add({})).toThrow(refusal("ROUTE_CONFLICT"))
    expect(() => add({})).toThrow(rival.id)
    expect(() => add({ filter: { exact: { subject: "a/b" } } })).toThrow(refusal("ROUTE_CONFLICT"))
    expect(() => add({ agent: "ci-flaky" })).toThrow(refusal("ROUTE_CONFLICT"))
    expect(() => add({ filter: { data: { a: 1 } } })).toThrow("queries on data may both be true")
  })

  it("is fine with another priority, or where no event fits both", () => {
    expect(add({ priority: 1 })).toEqual([])
    expect(add({ exclusive: false })).toEqual([])
    expect(add({ filter: { exact: { subject: "b" } } })).toEqual([])
    expect(add({ filter: { not: { prefix: { subject: "a" } } } })).toEqual([])
    expect(add({ agent: "market", pattern: "market.*" })).toEqual([expect.stringContaining("gets all of these")])
  })
})

describe("what is called impossible", () => {
  const word = fc.constantFrom("a", "b", "ab", "ba")
  const attribute = fc.constantFrom("subject", "type", "trust")
  const values = fc.dictionary(attribute, word, { minKeys: 1, maxKeys: 2, noNullPrototype: true })
  const { filter } = fc.letrec((tie) => ({
    filter: fc.oneof(
      { maxDepth: 3 },
      fc.record({ exact: values }),
      fc.record({ prefix: values }),
      fc.record({ suffix: values }),
      fc.record({ data: fc.constantFrom({}, { a: 1 }) }),
      fc.record({ not: tie("filter") }),
      fc.record({ all: fc.array(tie("filter"), { maxLength: 3 }) }),
      fc.record({ any: fc.array(tie("filter"), { maxLength: 3 }) }),
    ),
  }))
  const pattern = fc.constantFrom("a", "ab", "*", ">", "a.*", "*.b", "*.b.*", "ba.>").map(parsePattern)
  const route = fc.record({ pattern, filter: filter.map((json) => parseFilter(json)) })

  const events: MurmurEvent[] = []
  for (const type of ["a", "b", "ab", "ba", "a.b", "a.c", "a.b.a", "ba.b", "ba.x.y", "c.b"]) {
    for (const key of ["a", "b", "ab", "ba", "aba", "bab", "c", undefined]) {
      for (const trust of ["internal", "external"] as const) {
        for (const data of [null, { a: 1 }]) events.push({ type, key, trust, data, extensions: {} } as MurmurEvent)
      }
    }
  }
  const takes = (candidate: { pattern: ReturnType<typeof parsePattern>; filter: ReturnType<typeof parseFilter> }) => {
    const accepts = compileFilter(candidate.filter)
    return (event: MurmurEvent): boolean => matches(candidate.pattern, event.type) && accepts(event)
  }

  it("is: no event takes a dead route", () => {
    fc.assert(
      fc.property(route, (candidate) => {
        if (whyDead(candidate) !== undefined) expect(events.filter(takes(candidate))).toEqual([])
      }),
      { numRuns: 2_000 },
    )
  })

  it("is: no event takes both of two disjoint routes", () => {
    fc.assert(
      fc.property(route, route, (a, b) => {
        const both = events.filter(takes(a)).filter(takes(b))
        if (both.length > 0) expect(areDisjoint(a, b)).toBe(false)
      }),
      { numRuns: 2_000 },
    )
  })
})
