import fc from "fast-check"
import { expect, test } from "vitest"
import { DeliveryOrder } from "./delivery-order.js"

const places = (order: DeliveryOrder, numbers: readonly number[], now = 0) =>
  numbers.map((number) => order.place(number, now))

test("what was sent before the reset is told from what comes after it, whichever comes first: reply or message", () => {
  const order = new DeliveryOrder()
  expect(places(order, [7, 8, 9])).toEqual(["before", "before", "before"])
  order.reset(0)
  expect(places(order, [10, 1, 2, 3])).toEqual(["before", "first", "next", "next"])
  const late = new DeliveryOrder()
  expect(places(late, [1, 2])).toEqual(["first", "next"])
  late.reset(0)
  expect(places(late, [3])).toEqual(["next"])
})

test("a hole in the numbers is a gap, a repeat is one too, and a new first begins again", () => {
  const order = new DeliveryOrder()
  order.reset(0)
  expect(places(order, [1, 2, 4])).toEqual(["first", "next", "gap"])
  expect(places(order, [3, 3])).toEqual(["next", "gap"])
  expect(places(order, [1, 2])).toEqual(["first", "next"])
})

test("when the first after a reset is lost, what follows shows it after a moment", () => {
  const order = new DeliveryOrder()
  order.reset(5_000)
  expect(order.place(2, 5_500)).toBe("before")
  expect(order.place(3, 6_500)).toBe("gap")
})

test("whatever is lost on the way: what is let through is without a gap", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 60 }), (lost) => {
      const order = new DeliveryOrder()
      order.reset(0)
      const through: number[] = []
      for (const [index, isLost] of lost.entries()) {
        if (isLost) continue
        const place = order.place(index + 1, 0)
        if (place === "gap") break
        if (place !== "before") through.push(index + 1)
      }
      expect(through).toEqual(through.map((_, index) => index + 1))
    }),
  )
})
