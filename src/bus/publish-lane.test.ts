import { expect, test } from "vitest"
import { PublishLane, streamOf } from "./publish-lane.js"

test("what waits is taken in order, also after many were taken", () => {
  const lane = new PublishLane<number>()
  let taken = 0
  for (let n = 0; n < 10_000; n++) {
    lane.push(n)
    if (n % 3 === 0) expect(lane.take()).toBe(taken++)
  }
  while (!lane.empty) expect(lane.take()).toBe(taken++)
  expect(taken).toBe(10_000)
  expect(lane.take()).toBeUndefined()
})

test("what need not be sent any more is dropped, the rest keeps its order", () => {
  const lane = new PublishLane<number>()
  for (let n = 0; n < 10; n++) lane.push(n)
  lane.take()
  lane.prune((n) => n % 2 === 1)
  const rest: (number | undefined)[] = []
  while (!lane.empty) rest.push(lane.take())
  expect(rest).toEqual([1, 3, 5, 7, 9])
})

test("a lane is open while its stream takes messages and not too many are in flight", () => {
  const lane = new PublishLane<number>()
  expect(lane.open).toBe(true)
  lane.heldUntil = 1
  expect(lane.open).toBe(false)
  lane.heldUntil = 0
  lane.inflight = 4_096
  expect(lane.open).toBe(false)
})

test("each kind of subject is a lane of its own", () => {
  expect(streamOf("shop.ev.cli.key.a.b")).toBe("shop.ev")
  expect(streamOf("shop.dead.agent.key")).toBe("shop.dead")
})
