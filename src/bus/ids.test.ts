import fc from "fast-check"
import { expect, test } from "vitest"
import { derivedId, freshId } from "./ids.js"

test("fresh ids are UUIDv7: unique, with version and variant, sorted by time", () => {
  const ids = Array.from({ length: 2_000 }, (_, n) => freshId(Date.UTC(2026, 0, 1) + n))
  expect(new Set(ids).size).toBe(ids.length)
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect([...ids].sort()).toEqual(ids)
  expect(Number.parseInt(freshId(0x0123_4567_89ab).replaceAll("-", "").slice(0, 12), 16)).toBe(0x0123_4567_89ab)
})

test("a derived id never changes: outputs that were stored are known by it", () => {
  expect(derivedId("triage", "acme/web", "event-1", 0)).toBe(derivedId("triage", "acme/web", "event-1", 0))
  expect(derivedId("triage", "acme/web", "event-1", 0)).toMatch(/^[A-Za-z0-9_-]{22}$/)
  expect(derivedId("a", 1)).toBe("TgWr1pEbgcykJlf7yVmaqM")
})

test("two lists of parts have one derived id only when they are the same", () => {
  const parts = fc.array(fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom("1:a", "0:", "a", "", "1")), {
    maxLength: 4,
  })
  fc.assert(
    fc.property(parts, parts, (one, other) => {
      const same = JSON.stringify(one) === JSON.stringify(other)
      expect(derivedId(...one) === derivedId(...other)).toBe(same)
    }),
    { numRuns: 2_000 },
  )
})
