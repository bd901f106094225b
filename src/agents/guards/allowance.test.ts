import fc from "fast-check"
import { expect, test } from "vitest"
import { Allowance, freeOf } from "./allowance.js"
import { Recent } from "./recent.js"

/** One reservation: by which node, how much, and whether that node is started anew before. */
const ask = fc.record({
  node: fc.nat({ max: 3 }),
  amount: fc.integer({ min: 1, max: 40 }),
  restart: fc.integer({ min: 0, max: 9 }).map((dice) => dice === 0),
})

test("a tree never uses more than its limit and what is free on each node that did not ask in time, over any run", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 400 }), fc.array(ask, { maxLength: 300 }), (limit, asks) => {
      const start = () => ({ allowance: new Allowance(), gave: false, settled: false })
      const nodes = Array.from({ length: 4 }, start)
      const lives = [...nodes]
      let total = 0
      let really = 0
      for (const { node, amount, restart } of asks) {
        const before = nodes[node]
        const life = restart || before === undefined ? start() : before
        if (life !== before) lives.push(life)
        nodes[node] = life
        const charge = life.allowance.take("root", "events", amount, limit)
        total += charge
        if (charge > 0 && total <= limit) life.settled = true
        if (charge === 0) life.gave = true
        if (charge === 0 || total <= limit) really += amount
      }
      const late = lives.filter(({ gave, settled }) => gave && !settled).length
      expect(really).toBeLessThanOrEqual(limit + late * freeOf(limit))
    }),
    { numRuns: 500 },
  )
})

test("on one node the limit holds to the unit, as soon as it asks", () => {
  const allowance = new Allowance()
  let total = 0
  let really = 0
  for (let n = 0; n < 2_000; n++) {
    const charge = allowance.take("root", "steps", 1, 1_000)
    total += charge
    if (charge === 0 || total <= 1_000) really += 1
  }
  expect(really).toBe(1_000)
})

test("roots and kinds have allowances of their own, and none is more than an eighth of the limit", () => {
  const allowance = new Allowance()
  expect(allowance.take("a", "steps", 16, 1_000)).toBe(0)
  expect(allowance.take("a", "events", 16, 1_000)).toBe(0)
  expect(allowance.take("b", "steps", 16, 1_000)).toBe(0)
  expect(allowance.take("a", "steps", 1, 1_000)).toBe(17)
  expect(allowance.take("c", "steps", 6, 40)).toBe(6)
  expect(allowance.take("d", "steps", 1, 7)).toBe(1)
})

test("what is asked for stays, what is not is forgotten, and no more is held than it says", () => {
  const recent = new Recent<number>(10)
  recent.set("hot", 1)
  recent.set("cold", 2)
  for (let n = 0; n < 100; n++) {
    recent.set(`k${n}`, n)
    expect(recent.get("hot")).toBe(1)
  }
  expect(recent.get("cold")).toBeUndefined()
  const held = Array.from({ length: 100 }, (_, n) => recent.get(`k${n}`)).filter((value) => value !== undefined)
  expect(held.length).toBeLessThanOrEqual(20)
})
