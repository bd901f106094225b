import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { MurmurEvent } from "../bus/event.js"
import { compileFilter } from "./filter.js"
import { matches } from "./pattern.js"
import { byPrecedence, codeRoute, type LocalRoute, liveRoute, mergeRoutes } from "./route.js"
import { RouteTable } from "./table.js"

const event = (over: Partial<MurmurEvent> = {}): MurmurEvent => ({
  id: "e1",
  source: "/t",
  type: "a.b",
  time: "2025-01-01T00:00:00Z",
  key: undefined,
  data: null,
  producer: "p",
  seq: 1,
  correlationid: "e1",
  causationid: undefined,
  hops: 0,
  path: [],
  trust: "internal",
  trace: undefined,
  extensions: {},
  ...over,
})

const token = fc.constantFrom("a", "b", "c")
const word = fc.constantFrom("a", "b", "ab", "ba", "aab")
const type = fc.array(token, { minLength: 1, maxLength: 3 }).map((tokens) => tokens.join("."))
const pattern = fc
  .tuple(fc.array(fc.oneof(token, fc.constant("*")), { maxLength: 3 }), fc.boolean())
  .map(([tokens, tail]) => (tail || tokens.length === 0 ? [...tokens, ">"] : tokens).join("."))

const attribute = fc.constantFrom("subject", "producer", "region", "type")
const values = fc.dictionary(attribute, word, { minKeys: 1, maxKeys: 2, noNullPrototype: true })
const primitive = fc.constantFrom<string | number | boolean | null>("a", "b", 1, 2, true, null)
const path = fc.constantFrom("x", "y", "x.y", "x.0", "x.y.x", "x.length")
const condition = fc.oneof(
  primitive,
  fc.record({ $eq: primitive }),
  fc.record({ $in: fc.array(primitive, { maxLength: 3 }) }),
  fc.record({ $gt: fc.constantFrom(0, 1) }),
  fc.record({ $ne: primitive }),
  fc.record({ $eq: primitive, $ne: primitive }),
  fc.record({ $exists: fc.boolean() }),
)
const fields = fc.dictionary(path, condition, { maxKeys: 2, noNullPrototype: true })
const query = fc.oneof(
  { weight: 4, arbitrary: fields },
  fc.record({ $or: fc.array(fields, { minLength: 1, maxLength: 3 }) }),
  fc.record({ $and: fc.array(fields, { minLength: 1, maxLength: 3 }) }),
  fc.record({ $nor: fc.array(fields, { minLength: 1, maxLength: 2 }) }),
)
const { filter } = fc.letrec((tie) => ({
  filter: fc.oneof(
    { maxDepth: 3, depthIdentifier: "filter" },
    fc.record({ exact: values }),
    fc.record({ prefix: values }),
    fc.record({ suffix: values }),
    fc.record({ data: query }),
    fc.record({ not: tie("filter") }),
    fc.record({ all: fc.array(tie("filter"), { maxLength: 3 }) }),
    fc.record({ any: fc.array(tie("filter"), { maxLength: 3 }) }),
  ),
}))

const { data } = fc.letrec((tie) => ({
  data: fc.oneof(
    { maxDepth: 4, depthIdentifier: "data" },
    primitive,
    fc.array(tie("data"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom("x", "y"), tie("data"), { noNullPrototype: true }),
  ),
}))

const anyEvent: fc.Arbitrary<MurmurEvent> = fc
  .record({ type, key: fc.option(word, { nil: undefined }), producer: word, region: fc.option(word), data })
  .map(({ region, ...rest }) => event({ ...rest, extensions: region === null ? {} : { region } }))

const routeInput = fc.record({
  agent: fc.constantFrom("x", "y", "z"),
  pattern,
  filter: fc.option(filter, { nil: undefined }),
  priority: fc.integer({ min: 0, max: 2 }),
  exclusive: fc.boolean(),
  narrowed: fc.boolean(),
})
const onlyShort = (candidate: MurmurEvent): boolean => candidate.producer.length === 1
const anyRoutes: fc.Arbitrary<LocalRoute[]> = fc.array(routeInput, { maxLength: 40 }).map((inputs) => {
  const routes = inputs.map(({ narrowed, ...input }) =>
    codeRoute(narrowed && !input.exclusive ? { ...input, predicate: onlyShort } : input),
  )
  return [...new Map(routes.map((route) => [route.id, route])).values()]
})

/** The table's meaning, route by route. */
function bruteMatch(routes: readonly LocalRoute[], candidate: MurmurEvent): LocalRoute[] {
  return routes
    .filter((route) => matches(route.pattern, candidate.type))
    .filter((route) => route.filter === undefined || compileFilter(route.filter)(candidate))
    .filter((route) => route.predicate?.(candidate) ?? true)
    .sort(byPrecedence)
}

function bruteDeliveries(routes: readonly LocalRoute[], candidate: MurmurEvent): LocalRoute[] {
  const matched = bruteMatch(routes, candidate)
  const winner = matched.find(({ exclusive }) => exclusive)
  return matched.filter((route) => !route.exclusive || route === winner)
}

describe("the route table", () => {
  it("matches, fans out and decides for each agent as going through all routes one by one does", () => {
    fc.assert(
      fc.property(anyRoutes, fc.array(anyEvent, { minLength: 1, maxLength: 12 }), (routes, events) => {
        const table = RouteTable.from(routes)
        for (const candidate of events) {
          expect(table.match(candidate)).toEqual(bruteMatch(routes, candidate))
          const deliveries = bruteDeliveries(routes, candidate)
          expect(table.agentsFor(candidate)).toEqual([...new Set(deliveries.map(({ agent }) => agent))].sort())
          for (const agent of ["x", "y", "z", "nobody"]) {
            const own = deliveries.filter((route) => route.agent === agent)
            const route = table.concerns(agent, candidate)
            expect(own.length > 0).toBe(route !== undefined)
            if (route !== undefined) expect(own).toContain(route)
          }
        }
      }),
      { numRuns: 500 },
    )
  })

  it("is the same however it came about", () => {
    fc.assert(
      fc.property(anyRoutes, fc.array(fc.nat()), anyEvent, (routes, removals, candidate) => {
        const removed = new Set(removals.map((n) => routes[n % Math.max(1, routes.length)]?.id ?? ""))
        const kept = routes.filter(({ id }) => !removed.has(id))
        let table = RouteTable.from([])
        for (const route of routes) {
          table = table.with(route)
          table.match(candidate)
        }
        for (const id of removed) table = table.without(id)
        expect(table.routes).toEqual(kept.sort(byPrecedence))
        expect(table.match(candidate)).toEqual(bruteMatch(kept, candidate))
        expect(RouteTable.from(routes).replace(kept).match(candidate)).toEqual(bruteMatch(kept, candidate))
      }),
      { numRuns: 100 },
    )
  })

  it("is not changed by what is derived from it", () => {
    const table = RouteTable.from([codeRoute({ agent: "x", pattern: "a.b" })])
    expect(table.agentsFor(event())).toEqual(["x"])
    const more = table.with(codeRoute({ agent: "y", pattern: "a.*" }))
    expect(more.agentsFor(event())).toEqual(["x", "y"])
    expect(more.without("x/a.b").agentsFor(event())).toEqual(["y"])
    expect(table.agentsFor(event())).toEqual(["x"])
    expect(table.without("nothing")).toBe(table)
  })

  it("refuses two routes of one id", () => {
    const route = codeRoute({ agent: "x", pattern: "a.b" })
    expect(() => RouteTable.from([route, route])).toThrow(expect.objectContaining({ code: "ROUTE_DUPLICATE" }))
  })

  it("gives an exclusive event to the highest priority, and to the lower id at a tie", () => {
    const low = liveRoute({ agent: "low", pattern: "a.>", exclusive: true })
    const high = liveRoute({
      agent: "high",
      pattern: "a.b",
      exclusive: true,
      priority: 1,
      filter: { exact: { subject: "k" } },
    })
    const other = liveRoute({ agent: "other", pattern: "a.b", exclusive: true, filter: { prefix: { subject: "k" } } })
    const table = RouteTable.from([low, high, other, liveRoute({ agent: "all", pattern: ">" })])
    expect(table.agentsFor(event({ key: "k" }))).toEqual(["all", "high"])
    const tied = [low, other].sort(byPrecedence)[0]?.agent ?? ""
    expect(table.agentsFor(event({ key: "k2" }))).toEqual(["all", tied].sort())
    expect(table.concerns("low", event({ key: "k" }))).toBeUndefined()
    expect(table.concerns("high", event({ key: "k" }))).toEqual(high)
  })

  it("never routes events for an inbox", () => {
    const table = RouteTable.from([codeRoute({ agent: "x", pattern: ">" })])
    expect(table.agentsFor(event({ type: "murmur.inbox.y" }))).toEqual([])
    expect(table.concerns("x", event({ type: "murmur.inbox.x" }))).toBeUndefined()
    expect(table.agentsFor(event({ type: "murmur.agent.quarantined" }))).toEqual(["x"])
  })

  it("does not take a wildcard in a type for one in a pattern", () => {
    const table = RouteTable.from([codeRoute({ agent: "x", pattern: "a.*" })])
    expect(table.match(event({ type: "a.*" }))).toHaveLength(1)
    expect(table.match(event({ type: "*.b" }))).toHaveLength(0)
  })

  it("stays right for more types than it remembers", () => {
    const table = RouteTable.from([codeRoute({ agent: "x", pattern: "t.*.hit" })])
    for (const round of [1, 2]) {
      for (let n = 0; n < 1_500; n++) {
        expect(table.concerns("x", event({ type: `t.${n}.hit` })), `round ${round}`).toBeDefined()
        expect(table.concerns("x", event({ type: `t.${n}.miss` }))).toBeUndefined()
      }
    }
  })

  it("says what the consumer of an agent should be filtered by", () => {
    const table = RouteTable.from(
      ["ci.run.completed", "ci.run.started", "ci.run.*"].map((text) => codeRoute({ agent: "x", pattern: text })),
    )
    expect(table.patternsOf("x")).toEqual(["ci.run.*"])
    expect(table.without("x/ci.run.*").patternsOf("x")).toEqual(["ci.run.completed", "ci.run.started"])
    expect(table.without("x/ci.run.*").coverOf("x")).toEqual(["ci.run.*"])
    expect(table.coverOf("nobody")).toEqual([])
  })
})

describe("the cost of a match", () => {
  /** How many filters were asked, seen from their predicates. */
  function asked(filters: readonly unknown[], candidate: MurmurEvent): number {
    let count = 0
    const predicate = (): boolean => {
      count += 1
      return false
    }
    const routes = filters.map((f, n) => codeRoute({ agent: `a${n}`, pattern: "a.b", filter: f, predicate }))
    RouteTable.from(routes).match(candidate)
    return count
  }

  it("leaves alone the routes of the same pattern whose filter needs another value", () => {
    const of = (make: (n: number) => unknown): unknown[] => Array.from({ length: 500 }, (_, n) => make(n))
    const reads = { count: 0 }
    const spied = (data: object): MurmurEvent =>
      event({
        key: "k7/x",
        extensions: { region: "eu", tenant: "t7" },
        data: new Proxy(data, {
          get: (target, name) => {
            reads.count += 1
            return Reflect.get(target, name)
          },
        }),
      })
    expect(
      asked(
        of((n) => ({ data: { symbol: `S${n}` } })),
        spied({ symbol: "S7" }),
      ),
    ).toBe(1)
    expect(reads.count).toBeLessThan(10)
    reads.count = 0
    const byTenant = of((n) => ({ all: [{ exact: { region: "eu", tenant: `t${n}` } }, { data: { v: { $gt: 1 } } }] }))
    expect(asked(byTenant, spied({ v: 2 }))).toBe(1)
    expect(reads.count).toBeLessThan(10)
    reads.count = 0
    const byEither = of((n) => ({
      all: [{ any: [{ prefix: { subject: `k${n}/` } }, { exact: { id: `e${n}` } }] }, { data: { v: { $gt: 1 } } }],
    }))
    expect(asked(byEither, spied({ v: 2 }))).toBe(2)
    expect(reads.count).toBeLessThan(20)
  })
})

describe("a predicate in code that throws", () => {
  const broken = (): boolean => {
    throw new Error("boom")
  }
  const table = RouteTable.from([
    codeRoute({ agent: "x", pattern: "a.b", predicate: broken }),
    codeRoute({ agent: "x", pattern: "a.*", filter: { exact: { subject: "k" } } }),
    codeRoute({ agent: "y", pattern: "a.b" }),
  ])

  it("fails the event for its agent only, and only when no other route delivers it", () => {
    const decide = (): unknown => table.concerns("x", event())
    expect(decide).toThrow('the predicate of route "x/a.b" threw "boom"')
    expect(decide).toThrow(expect.objectContaining({ code: "ROUTE_PREDICATE" }))
    expect(table.concerns("x", event({ key: "k" }))?.pattern).toBe("a.*")
    expect(table.concerns("y", event())?.id).toBe("y/a.b")
  })

  it("still counts as a match, since the agent will be given the event", () => {
    expect(table.agentsFor(event())).toEqual(["x", "y"])
  })
})

describe("a route", () => {
  it("has an id that says what it is, and the same one each time", () => {
    const filter = { all: [{ exact: { subject: "a", producer: "b" } }] }
    const reordered = { all: [{ exact: { producer: "b", subject: "a" } }] }
    expect(codeRoute({ agent: "x", pattern: "a.*" }).id).toBe("x/a.*")
    expect(codeRoute({ agent: "x", pattern: "a.*", filter }).id).toMatch(/^x\/a\.\*\/[0-9a-f]{10}$/)
    expect(codeRoute({ agent: "x", pattern: "a.*", filter }).id).toBe(
      codeRoute({ agent: "x", pattern: "a.*", filter: reordered }).id,
    )
    expect(liveRoute({ agent: "x", pattern: "a.*", filter }).id).toBe(
      liveRoute({ agent: "x", pattern: "a.*", filter: reordered }).id,
    )
    expect(liveRoute({ agent: "x", pattern: "a.*" }).id).not.toBe(liveRoute({ agent: "y", pattern: "a.*" }).id)
  })

  it.each([
    [{ agent: "x", pattern: "a.>.b" }, "ROUTE_PATTERN"],
    [{ agent: "x", pattern: "a", filter: { exact: {} } }, "ROUTE_FILTER"],
    [{ agent: "X y", pattern: "a" }, "ROUTE_INVALID"],
    [{ agent: "x", pattern: "a", priority: 1.5 }, "ROUTE_INVALID"],
    [{ agent: "x", pattern: "a", priorty: 1 }, "ROUTE_INVALID"],
  ])("%j is refused with %s", (input, code) => {
    expect(() => liveRoute(input)).toThrow(expect.objectContaining({ code }))
  })

  it("is not exclusive with a predicate that only one node has", () => {
    expect(() => codeRoute({ agent: "x", pattern: "a", exclusive: true, predicate: () => true })).toThrow(
      expect.objectContaining({ code: "ROUTE_EXCLUSIVE" }),
    )
  })

  it("declared twice with different predicates accepts what one of them accepts", () => {
    const twice = ["k", "l"].map((key) => codeRoute({ agent: "x", pattern: "a.b", predicate: (e) => e.key === key }))
    const table = RouteTable.from(mergeRoutes(twice))
    expect(["k", "l", "m"].map((key) => table.agentsFor(event({ key })).length)).toEqual([1, 1, 0])
    const widened = RouteTable.from(mergeRoutes([...twice, codeRoute({ agent: "x", pattern: "a.b" })]))
    expect(widened.agentsFor(event({ key: "m" }))).toEqual(["x"])
  })
})

it.each([
  ["murmur.run.started", "murmur.run.started", true],
  ["murmur.run.started", "murmur.run.*", true],
  ["murmur.run.started", "murmur.run.>", true],
  ["murmur.run.started", "murmur.>", false],
  ["murmur.run.started", "*.run.started", false],
  ["murmur.run.started", ">", false],
  ["murmur.task.writer", "murmur.task.writer", true],
  ["murmur.task.writer", "murmur.task.*", false],
  ["murmur.task.writer", ">", false],
  ["murmur.guard.tripped", "murmur.>", true],
])("an event %s reaches a route on %s: %s", (type, pattern, reaches) => {
  const table = RouteTable.from([codeRoute({ agent: "a", pattern })])
  expect(table.concerns("a", event({ type })) !== undefined).toBe(reaches)
})
