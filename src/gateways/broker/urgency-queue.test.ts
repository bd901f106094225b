import { expect, test } from "vitest"
import { isMoreUrgent, type Urgency, UrgencyQueue } from "./urgency-queue.js"

const waiting = (priority: number, deadlineMs: number, arrival: number): Urgency => ({ priority, deadlineMs, arrival })

test("priority goes before deadline, deadline before arrival", () => {
  const queue = new UrgencyQueue<Urgency>()
  const late = waiting(0, Number.POSITIVE_INFINITY, 1)
  const soon = waiting(0, 100, 4)
  const sooner = waiting(0, 50, 5)
  const high = waiting(1, Number.POSITIVE_INFINITY, 6)
  const last = waiting(0, Number.POSITIVE_INFINITY, 7)
  for (const one of [last, late, soon, high, sooner]) queue.add(one)
  expect(drain(queue)).toEqual([high, sooner, soon, late, last])
})

test("what is taken out of the middle leaves the others in order", () => {
  let seed = 7
  const random = (): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return seed
  }
  for (let round = 0; round < 200; round++) {
    const queue = new UrgencyQueue<Urgency>()
    const all = Array.from({ length: 30 }, (_, arrival) => waiting(random() % 3, random() % 5, arrival))
    for (const one of all) queue.add(one)
    const left = all.filter((one) => random() % 3 !== 0 || !queue.remove(one))
    expect(queue.size).toBe(left.length)
    expect(drain(queue)).toEqual([...left].sort((a, b) => (isMoreUrgent(a, b) ? -1 : 1)))
  }
})

test("the most urgent one of those that fit is found without being taken out", () => {
  const queue = new UrgencyQueue<Urgency>()
  const [high, middle, low] = [waiting(9, 0, 0), waiting(5, 0, 1), waiting(1, 0, 2)]
  for (const one of [low, high, middle]) queue.add(one)
  expect(queue.firstOf(({ priority }) => priority < 9)).toBe(middle)
  expect(queue.firstOf(() => false)).toBeUndefined()
  expect(queue.size).toBe(3)
})

function drain(queue: UrgencyQueue<Urgency>): Urgency[] {
  const order: Urgency[] = []
  for (let first = queue.first(); first !== undefined; first = queue.first()) {
    order.push(first)
    queue.remove(first)
  }
  return order
}
