import { expect, test } from "vitest"
import { ARCHIVE_SIZE, type ArchivedCauses, Causes } from "./causes.js"

const DAY_MS = 86_400_000
const cause = (n: number): { id: string; seq: number; storedAtMs: number } => ({ id: `e${n}`, seq: n, storedAtMs: n })
const again = (n: number): { id: string; seq: number; storedAtMs: number } => ({ ...cause(n), seq: 0 })

test("what came in order is known by its sequence, what was stored twice by its id", () => {
  const causes = new Causes(30 * DAY_MS)
  causes.add(cause(7), 7)
  expect(causes.has({ id: "older", seq: 3, storedAtMs: 3 })).toBe(true)
  expect(causes.has({ id: "e7", seq: 99, storedAtMs: 99 })).toBe(true)
  expect(causes.has({ id: "newer", seq: 8, storedAtMs: 8 })).toBe(false)
})

test("a stream that was made anew gives old sequences to new events: only their ids count", () => {
  const causes = new Causes(30 * DAY_MS)
  causes.add(cause(100), 100)
  expect(causes.has({ id: "new", seq: 5, storedAtMs: 200 })).toBe(false)
  causes.add({ id: "new", seq: 5, storedAtMs: 200 }, 200)
  expect(causes.has({ id: "next", seq: 6, storedAtMs: 201 })).toBe(false)
  expect(causes.has({ id: "e100", seq: 7, storedAtMs: 202 })).toBe(true)
})

test("what is given up is not committed, until it is", () => {
  const causes = new Causes(30 * DAY_MS)
  causes.giveUp(cause(1), 1, 1)
  expect([causes.has(cause(1)), causes.givenUpBy("e1")]).toEqual([false, 1])
  causes.add({ ...cause(1), seq: 0 }, 2)
  expect([causes.has(cause(1)), causes.givenUpBy("e1")]).toEqual([true, undefined])
})

test("ids are forgotten when their time is over, wherever they are held", () => {
  const causes = new Causes(1_000)
  for (let n = 1; n <= 2 * ARCHIVE_SIZE; n++) causes.add(again(n), 0)
  causes.archive(causes.archivable ?? { hashes: "", newestAtMs: 0 }, 1)
  causes.giveUp(again(0), 1, 0)
  causes.add(again(-1), 1_001)
  expect([causes.size, causes.archives, causes.givenUpBy("e0")]).toEqual([1, [], undefined])
})

test("however many there are, a snapshot holds only the newest, and the records that it names hold the others", () => {
  const causes = new Causes(30 * DAY_MS)
  const records = new Map<number, ArchivedCauses>()
  for (let n = 1; n <= 10 * ARCHIVE_SIZE; n++) {
    causes.add(again(n), n)
    const older = causes.archivable
    if (older === undefined) continue
    records.set(n, older)
    causes.archive(older, n)
  }
  const stored = JSON.parse(JSON.stringify(causes)) as ReturnType<Causes["toJSON"]>
  expect(stored.recent.length).toBeLessThan(2 * ARCHIVE_SIZE)
  expect(JSON.stringify(stored).length).toBeLessThan(200_000)
  const restored = new Causes(30 * DAY_MS)
  restored.restore(stored)
  for (const [seq] of restored.archives) restored.fill(records.get(seq) ?? { hashes: "", newestAtMs: 0 })
  expect(restored.size).toBe(10 * ARCHIVE_SIZE)
  for (const n of [1, ARCHIVE_SIZE, 5 * ARCHIVE_SIZE + 3, 10 * ARCHIVE_SIZE]) expect(restored.has(again(n))).toBe(true)
})
