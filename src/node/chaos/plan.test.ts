import { expect, test } from "vitest"
import { planChaos } from "./plan.js"

const options = { seed: 7, events: 500, kills: 10, forMs: 20_000 }

test("the same seed plans the same, another one something else", () => {
  expect(planChaos(options)).toEqual(planChaos(options))
  expect(planChaos({ ...options, seed: 8 }).strikes).not.toEqual(planChaos(options).strikes)
  expect(planChaos({ ...options, seed: 8 }).events).not.toEqual(planChaos(options).events)
})

test("it strikes as often as it is told, in order, within its time", () => {
  const { strikes } = planChaos(options)
  const times = (kind: string): number => strikes.filter(({ what }) => what === kind).length
  expect([times("kill"), times("pause"), times("server")]).toEqual([10, 5, 3])
  const at = strikes.map(({ atMs }) => atMs)
  expect(at).toEqual(at.toSorted((a, b) => a - b))
  expect(Math.min(...at)).toBeGreaterThan(0)
  expect(Math.max(...at)).toBeLessThan(options.forMs)
})

test("one kill comes with a pause and a server's end; without kills nothing is struck", () => {
  const kinds = planChaos({ ...options, kills: 1 }).strikes.map(({ what }) => what)
  expect(kinds.toSorted()).toEqual(["kill", "pause", "server"])
  expect(planChaos({ ...options, kills: 0 }).strikes).toEqual([])
})

test("events are spread over the time and over keys, some of them repeated in both ways", () => {
  const { events } = planChaos(options)
  expect(events.map(({ n }) => n)).toEqual(Array.from({ length: 500 }, (_, n) => n))
  expect(events.at(-1)?.atMs).toBeLessThan(options.forMs)
  expect(new Set(events.map(({ key }) => key)).size).toBeGreaterThan(15)
  expect(new Set(events.map(({ again }) => again))).toEqual(new Set(["no", "same-id", "stored"]))
})
