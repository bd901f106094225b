import { expect, it } from "vitest"
import { callersBaggage, withBaggage } from "./baggage.js"

const draft = (extensions?: Record<string, string | number>) => ({
  type: "a.b",
  data: 1,
  ...(extensions && { extensions }),
})

it("an event without baggage gets its caller's, one with baggage keeps its own", () => {
  expect(withBaggage(draft({ team: "blue" }), "a=1").extensions).toEqual({ team: "blue", baggage: "a=1" })
  expect(withBaggage(draft({ baggage: "b=2" }), "a=1").extensions).toEqual({ baggage: "b=2" })
  const untouched = draft({ team: "blue" })
  expect(withBaggage(untouched, undefined)).toBe(untouched)
})

it("baggage of its own that is malformed is left out, and is not made up for by the caller's", () => {
  expect(withBaggage(draft({ baggage: "no baggage" }), "a=1").extensions).toEqual({})
  expect(withBaggage(draft({ baggage: "x=1,no baggage,y=2" }), undefined).extensions).toEqual({ baggage: "x=1,y=2" })
})

it("a caller's header is taken as far as it may be handed on", () => {
  const of = (baggage: string): string | undefined => callersBaggage(new Headers({ baggage }))
  expect(of("a=1, b=2;p")).toBe("a=1,b=2;p")
  expect(of("nothing")).toBeUndefined()
  expect(of(Array.from({ length: 100 }, (_, n) => `k${n}=v`).join(","))?.split(",")).toHaveLength(64)
  expect(callersBaggage(new Headers())).toBeUndefined()
})
