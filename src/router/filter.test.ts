import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { MurmurEvent } from "../bus/event.js"
import { compileFilter, parseFilter } from "./filter.js"
import { FILTER_DEPTH_MAX, FILTER_VALUES_MAX } from "./filter-input.js"

const event = (over: Partial<MurmurEvent> = {}): MurmurEvent => ({
  id: "e1",
  source: "/github",
  type: "ci.run.completed",
  time: "2025-01-01T00:00:00Z",
  key: "acme/shop",
  data: null,
  producer: "github",
  seq: 1,
  correlationid: "e0",
  causationid: undefined,
  hops: 2,
  path: [],
  trust: "external",
  trace: undefined,
  extensions: { region: "eu", shard: 7, canary: true },
  ...over,
})

const accepts = (filter: unknown, over: Partial<MurmurEvent> = {}): boolean =>
  compileFilter(parseFilter(filter))(event(over))

describe("a filter on attributes", () => {
  it.each([
    [{ exact: { subject: "acme/shop" } }, true],
    [{ exact: { subject: "acme" } }, false],
    [{ exact: { subject: "acme/shop", producer: "github" } }, true],
    [{ exact: { subject: "acme/shop", producer: "gitlab" } }, false],
    [{ prefix: { subject: "acme/" } }, true],
    [{ prefix: { subject: "shop" } }, false],
    [{ suffix: { type: ".completed" } }, true],
    [{ suffix: { type: "ci" } }, false],
    [{ exact: { trust: "external" } }, true],
    [{ exact: { correlationid: "e0" } }, true],
    [{ exact: { causationid: "e0" } }, false],
    [{ exact: { hops: "2" } }, true],
    [{ exact: { region: "eu" } }, true],
    [{ exact: { shard: "7", canary: "true" } }, true],
    [{ exact: { tenant: "eu" } }, false],
    [{ not: { exact: { tenant: "eu" } } }, true],
    [{ all: [{ exact: { region: "eu" } }, { prefix: { id: "e" } }] }, true],
    [{ all: [{ exact: { region: "eu" } }, { prefix: { id: "x" } }] }, false],
    [{ any: [{ exact: { region: "us" } }, { prefix: { id: "e" } }] }, true],
    [{ any: [{ exact: { region: "us" } }, { prefix: { id: "x" } }] }, false],
    [{ all: [] }, true],
    [{ any: [] }, false],
  ])("%j says %j", (filter, answer) => {
    expect(accepts(filter)).toBe(answer)
  })

  it("does not take an inherited property for an extension", () => {
    expect(accepts({ not: { prefix: { constructor: "function" } } })).toBe(true)
  })

  it("does not match the key of an event that has none", () => {
    expect(accepts({ prefix: { subject: "u" } }, { key: undefined })).toBe(false)
  })
})

describe("a filter on data", () => {
  const run = { conclusion: "failure", attempt: 2, run: { name: "ci" }, tags: ["a", "b"], jobs: [{ n: 1 }, { n: 5 }] }

  it.each([
    [{ conclusion: "failure" }, true],
    [{ conclusion: "success" }, false],
    [{ conclusion: "failure", attempt: 1 }, false],
    [{ attempt: { $gt: 1, $lte: 2 } }, true],
    [{ attempt: { $gt: "1" } }, false],
    [{ "run.name": "ci" }, true],
    [{ run: { name: "ci" } }, true],
    [{ run: {} }, false],
    [{ tags: "b" }, true],
    [{ "jobs.n": 5 }, true],
    [{ "jobs.1.n": 5 }, true],
    [{ "jobs.0.n": 5 }, false],
    [{ jobs: { $elemMatch: { n: { $gt: 4 } } } }, true],
    [{ tags: { $all: ["a", "b"] } }, true],
    [{ tags: { $size: 3 } }, false],
    [{ attempt: { $mod: [2, 0] } }, true],
    [{ conclusion: { $in: ["failure", "timed_out"] } }, true],
    [{ conclusion: { $nin: ["failure"] } }, false],
    [{ missing: { $exists: false } }, true],
    [{ missing: null }, true],
    [{ conclusion: { $type: "string" } }, true],
    [{ $or: [{ attempt: 9 }, { conclusion: "failure" }] }, true],
    [{ $nor: [{ attempt: 9 }] }, true],
    [{ $and: [{ attempt: 2 }, { $not: { attempt: 3 } }] }, true],
    [{ attempt: { $not: { $gt: 1 } } }, false],
    [{}, true],
  ])("%j says %j", (query, answer) => {
    expect(accepts({ data: query }, { data: run })).toBe(answer)
  })

  it("can be asked again and again: no answer depends on the one before", () => {
    const failed = compileFilter(parseFilter({ data: { conclusion: "failure", attempt: { $ne: 3 } } }))
    const asked = [run, { ...run, attempt: 3 }, run, null, run].map((data) => failed(event({ data })))
    expect(asked).toEqual([true, false, true, false, true])
  })

  it("says false on data that cannot be evaluated, also under a not", () => {
    const bad = Object.defineProperty({}, "price", {
      get: () => {
        throw new Error("no")
      },
      enumerable: true,
    })
    const shadowed = JSON.parse('{"hasOwnProperty": 1, "price": 3}')
    expect(accepts({ data: { price: 3 } }, { data: bad })).toBe(false)
    expect(accepts({ not: { data: { price: 3 } } }, { data: bad })).toBe(false)
    expect(accepts({ data: { price: { $exists: true } } }, { data: shadowed })).toBe(false)
  })

  it("never throws, whatever the data", () => {
    const queries = [
      { a: 1 },
      { "a.b": { $gt: 2 } },
      { a: { $elemMatch: { b: { $exists: true } } } },
      { $nor: [{ a: { $size: 1 } }, { "a.0": { $type: "null" } }] },
      { a: { $not: { b: { $in: [1, "x"] } } } },
    ].map((data) => compileFilter(parseFilter({ data })))
    const values = fc.anything({ key: fc.constantFrom("a", "b", "hasOwnProperty", "toJSON", "0") })
    fc.assert(
      fc.property(values, (data) => {
        for (const accept of queries) expect(typeof accept(event({ data }))).toBe("boolean")
      }),
    )
  })
})

describe("a filter that cannot be used", () => {
  const nested = (depth: number): unknown => (depth === 0 ? { all: [] } : { not: nested(depth - 1) })
  const circular: { not?: unknown } = {}
  circular.not = circular

  it.each([
    [null, "", "must be an object, is null"],
    [[], "", "must be an object, is a list"],
    [{}, "", "exactly one of exact, prefix"],
    [{ exact: { id: "a" }, not: { all: [] } }, "", "exactly one of"],
    [{ equals: { id: "a" } }, "equals", 'unknown dialect "equals"'],
    [{ exact: {} }, "exact", "at least one attribute"],
    [{ exact: { id: "" } }, "exact.id", "a text of 1 to"],
    [{ exact: { hops: 2 } }, "exact.hops", "must be a text of 1 to 1024 characters, is 2"],
    [{ exact: { key: "a" } }, "exact.key", 'the CloudEvents attribute "subject"'],
    [{ exact: { "a-b": "a" } }, "exact.a-b", "made of a-z and 0-9"],
    [{ all: { exact: { id: "a" } } }, "all", "must be a list"],
    [{ all: [{ all: [] }, { any: [{ prefix: { data: "a" } }] }] }, "all[1].any[0].prefix.data", "payload"],
    [{ data: { a: { $where: "true" } } }, "data.a.$where", "would run code"],
    [{ data: { $where: "true" } }, "data.$where", "would run code"],
    [{ data: { a: { $regex: "(a+)+" } } }, "data.a.$regex", "$regex is not offered"],
    [{ data: { a: { $gtt: 1 } } }, "data.a.$gtt", 'unknown operator "$gtt" (known: $eq'],
    [{ data: { a: { $gt: 1, b: 2 } } }, "data.a.b", "write its path with dots"],
    [{ data: { a: { b: { $gt: 1 } } } }, "data.a.b", 'operator "$gt" inside of a value'],
    [{ data: { a: { $or: [{ b: 1 }] } } }, "data.a.$or", "write it around the field"],
    [{ data: { $or: [] } }, "data.$or", "at least one query"],
    [{ data: { $exists: true } }, "data.$exists", "stands on a field"],
    [{ data: { "a..b": 1 } }, "data.a..b", "empty step"],
    [{ data: { "a.constructor": 1 } }, "data.a.constructor", 'the name "constructor" cannot be queried'],
    [{ data: JSON.parse('{"__proto__": 1}') }, "data.__proto__", "cannot be queried"],
    [{ data: { a: JSON.parse('{"__proto__": {}}') } }, "data.a", "cannot be queried"],
    [{ data: { a: { $mod: [0, 1] } } }, "data.a.$mod", "[divisor, remainder]"],
    [{ data: { a: { $type: "date" } } }, "data.a.$type", "one of number"],
    [{ data: { a: { $size: -1 } } }, "data.a.$size", "a whole number"],
    [{ data: { a: { $in: "x" } } }, "data.a.$in", "must be a list"],
    [{ data: { a: /x/ } }, "data.a", "plain JSON object"],
    [{ data: { a: () => true } }, "data.a", "function is not a JSON value"],
    [{ data: { a: "x".repeat(2_000) } }, "data.a", "1 to 1024 characters"],
  ])("%j is refused at %j: %s", (filter, path, reason) => {
    const refused = (): unknown => parseFilter(filter)
    expect(refused).toThrow(reason)
    expect(refused).toThrow(
      expect.objectContaining({ code: "ROUTE_FILTER", details: expect.objectContaining({ path }) }),
    )
  })

  it("is refused when it is too deep or too large, before it can do harm", () => {
    expect(() => parseFilter(nested(FILTER_DEPTH_MAX - 1))).not.toThrow()
    expect(() => parseFilter(nested(FILTER_DEPTH_MAX + 1))).toThrow("nested deeper")
    expect(() => parseFilter(circular)).toThrow("nested deeper")
    expect(() => parseFilter({ data: { a: { $in: new Array(FILTER_VALUES_MAX).fill(1) } } })).toThrow("more than 512")
  })
})

describe("parsing a filter", () => {
  it("gives an equal copy that the caller can no longer change", () => {
    const written = { all: [{ exact: { id: "a" } }, { data: { a: { $in: [1, { b: null }] } } }] }
    const parsed = parseFilter(written)
    expect(parsed).toEqual(written)
    written.all.length = 0
    expect(parsed).toMatchObject({ all: [{}, {}] })
  })
})
