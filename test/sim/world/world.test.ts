import { expect, test } from "vitest"
import { withoutRealTime } from "../run/frozen-time.js"
import { Process } from "./process.js"
import { Random } from "./random.js"
import { World } from "./world.js"

const HOUR_MS = 3_600_000

test("time jumps to what is due next, in order, and first what was asked for first", async () => {
  const world = new World("order")
  const seen: string[] = []
  const began = world.now
  world.after(HOUR_MS, () => seen.push(`hour ${world.now - began}`))
  world.after(5, () => seen.push("a"))
  world.after(5, () => seen.push("b"))
  world.after(1, () => seen.push("first"))
  const cancel = world.after(2, () => seen.push("cancelled"))
  cancel()
  expect(await world.run(() => false, 2 * HOUR_MS)).toBe(false)
  expect(seen).toEqual(["first", "a", "b", `hour ${HOUR_MS}`])
})

test("all that follows from one thing has settled before the next", async () => {
  const world = new World("settle")
  const seen: string[] = []
  const much = async (): Promise<void> => {
    for (let i = 0; i < 1_000; i++) await Promise.resolve()
    seen.push("one")
  }
  world.after(1, () => void much())
  world.after(1, () => seen.push("two"))
  await world.run(() => seen.length === 2, 10)
  expect(seen).toEqual(["one", "two"])
})

test("a paused process goes on with what came meanwhile, in order; a dead one never does", async () => {
  const world = new World("processes")
  const [paused, dead] = [new Process(world, "paused"), new Process(world, "dead")]
  const seen: string[] = []
  const began = world.now
  for (const process of [paused, dead]) {
    void process.clock.delay(20).then(() => seen.push(`${process.name} ${world.now - began}`))
    process.clock.after(10, () => seen.push(`${process.name} ${world.now - began}`))
  }
  world.after(5, () => paused.pause(1_000))
  world.after(5, () => dead.crash())
  await world.run(() => false, HOUR_MS)
  expect(seen).toEqual(["paused 1005", "paused 1005"])
})

test("a process can die at any entry", async () => {
  const world = new World("entries")
  const process = new Process(world, "p")
  let entries = 0
  for (let i = 0; i < 10; i++) process.clock.after(i, () => (entries += 1))
  process.crashAtEntry(4)
  await world.run(() => false, 100)
  expect([entries, process.alive]).toEqual([4, false])
})

test("there is no other time in a world: the real one is an error, and is back afterwards", async () => {
  const world = new World("time")
  await withoutRealTime(world, async () => {
    expect(Date.now()).toBe(world.now)
    expect(new Date()).toEqual(new Date(world.now))
    expect(new Date("2026-01-01T00:00:00Z").toISOString()).toBe("2026-01-01T00:00:00.000Z")
    expect(() => setTimeout(() => {}, 1)).toThrow("uses setTimeout")
    expect(() => Math.random()).toThrow("uses Math.random")
  })
  expect(Math.abs(Date.now() - world.now)).toBeGreaterThan(HOUR_MS)
  expect(Math.random()).toBeLessThan(1)
})

test("numbers follow from the seed, and are spread evenly", () => {
  const draw = (seed: string): number[] => {
    const random = new Random(seed)
    return Array.from({ length: 1_000 }, () => random.next())
  }
  expect(draw("x")).toEqual(draw("x"))
  expect(draw("x")).not.toEqual(draw("y"))
  const tenths = Array.from(
    { length: 10 },
    (_, n) => draw("z").filter((number) => Math.floor(number * 10) === n).length,
  )
  for (const count of tenths) expect(Math.abs(count - 100)).toBeLessThan(40)
})
