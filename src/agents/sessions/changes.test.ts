import fc from "fast-check"
import { expect, test } from "vitest"
import { applyChanges, changesBetween } from "./changes.js"

const json = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

test("the changes between two states make the one of the other, and leave the first as it was", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), fc.jsonValue({ maxDepth: 4 }), (first, second) => {
      const [before, after] = [json(first), json(second)]
      const kept = JSON.stringify(before)
      const changes = json(changesBetween(before, after)) as ReturnType<typeof changesBetween>
      expect(applyChanges(before, changes)).toEqual(after)
      expect(JSON.stringify(before)).toBe(kept)
    }),
    { numRuns: 500 },
  )
})

test("only what changed is written down", () => {
  const shared = { deep: Array.from({ length: 1_000 }, (_, n) => n) }
  const before = { shared, count: 1, gone: true, list: [1, 2] }
  const after = { shared, count: 2, list: [1, 2, 3] }
  expect(changesBetween(before, after)).toEqual([[["gone"]], [["count"], 2], [["list", 2], 3]])
  expect(changesBetween(after, after)).toEqual([])
})

test("a shorter list, another kind of value and the whole state are replaced", () => {
  expect(changesBetween({ list: [1, 2] }, { list: [2] })).toEqual([[["list"], [2]]])
  expect(changesBetween({ a: {} }, { a: [] })).toEqual([[["a"], []]])
  expect(changesBetween(1, { a: 1 })).toEqual([[[], { a: 1 }]])
})
