import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { compileDataQuery } from "./data-query.js"
import { valuesAt } from "./data-values.js"

const primitive = fc.constantFrom<string | number | boolean>("a", "ab", 1, 2, true)
const path = fc
  .array(fc.constantFrom("x", "y", "0", "1", "length"), { minLength: 1, maxLength: 3 })
  .map((steps) => steps.join("."))
const { data } = fc.letrec((tie) => ({
  data: fc.oneof(
    { maxDepth: 4, depthIdentifier: "data" },
    primitive,
    fc.constant(null),
    fc.array(tie("data"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom("x", "y", "0"), tie("data"), { noNullPrototype: true }),
  ),
}))

describe("the values at a path", () => {
  it("are those for which sift finds an equality", () => {
    fc.assert(
      fc.property(data, path, (value, at) => {
        const found = new Set(valuesAt(value, at.split(".")))
        for (const wanted of ["a", "ab", 0, 1, 2, true, false]) {
          expect([wanted, found.has(wanted)]).toEqual([wanted, compileDataQuery({ [at]: wanted })(value)])
        }
      }),
      { numRuns: 3_000 },
    )
  })

  it("are found however deep lists are nested", () => {
    let deep: unknown = ["a"]
    for (let n = 0; n < 100_000; n++) deep = [deep]
    expect([...valuesAt({ x: deep }, ["x"])]).toEqual(["a"])
  })

  it("are none where reading fails", () => {
    const bad = new Proxy(
      {},
      {
        get: () => {
          throw new Error("no")
        },
      },
    )
    expect([...valuesAt(bad, ["x"])]).toEqual([])
  })

  it("are compared as sift compares: dates by their time", () => {
    expect([...valuesAt({ at: new Date(5) }, ["at"])]).toEqual([5])
  })
})
