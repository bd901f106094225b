import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { isAlive, processPlace, startToken } from "./liveness.js"
import { type Claim, currentClaim, Ownership } from "./ownership.js"

let dir = ""
const taken: Ownership[] = []
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "murmur-claims-"))
})
afterEach(() => {
  for (const ownership of taken.splice(0)) ownership.release()
  rmSync(dir, { recursive: true, force: true })
})

function take(): Ownership | undefined {
  const ownership = Ownership.take(dir)
  if (ownership !== undefined) taken.push(ownership)
  return ownership
}

/** A claim that somebody else has left. */
function leave(number: number, claim: Partial<Claim> | string, ageMs = 0): void {
  mkdirSync(join(dir, "server-claims"), { recursive: true })
  const file = join(dir, "server-claims", `${number}.json`)
  const whole = { pid: process.pid, token: startToken(process.pid), place: processPlace() }
  writeFileSync(file, typeof claim === "string" ? claim : JSON.stringify({ ...whole, ...claim }))
  const then = new Date(Date.now() - ageMs)
  utimesSync(file, then, then)
}

const files = (): string[] => readdirSync(join(dir, "server-claims")).sort()

/** No system hands out such an id. */
const NOBODY = 2 ** 30

test("one takes the folder, nobody else does, and after it is given back the next one can", () => {
  const first = take()
  expect(first?.previous).toBeUndefined()
  expect(take()).toBeUndefined()
  first?.note({ guardPid: 7, port: 4321 })
  expect(currentClaim(dir)).toMatchObject({ pid: process.pid, guardPid: 7, port: 4321 })
  first?.release()
  expect(currentClaim(dir)).toBeUndefined()
  expect(take()?.previous).toMatchObject({ guardPid: 7, port: 4321, released: true })
  expect(files()).toEqual(["2.json"])
})

test("the claim of a process that has ended is free, and its number is passed, not used again", () => {
  leave(9, { pid: NOBODY })
  leave(3, {})
  expect(take()?.previous).toMatchObject({ pid: NOBODY })
  expect(files()).toEqual(["10.json"])
})

test.skipIf(startToken(process.pid) === undefined)("an id that a later process has got does not hold the claim", () => {
  leave(1, { token: "1" })
  expect(take()).toBeDefined()
})

test("the claim of a process that lives is held, however old its file", () => {
  leave(1, {}, 3_600_000)
  if (startToken(process.pid) !== undefined) expect(take()).toBeUndefined()
})

test("where process ids mean something else, a claim is held as long as it is renewed", () => {
  leave(1, { place: "another container", pid: NOBODY }, 1_000)
  expect(take()).toBeUndefined()
  leave(1, { place: "another container" }, 60_000)
  expect(take()).toBeDefined()
})

test("a claim that cannot be read is held while it may be being written", () => {
  leave(1, "")
  expect(take()).toBeUndefined()
  leave(1, '{"pid":', 60_000)
  expect(take()).toBeDefined()
})

test("a claim no longer stands when there is a higher one, or none", () => {
  const ownership = take()
  expect(ownership?.isCurrent()).toBe(true)
  leave(5, {})
  expect(ownership?.isCurrent()).toBe(false)
  rmSync(join(dir, "server-claims"), { recursive: true })
  expect(ownership?.isCurrent()).toBe(false)
})

test("a state folder that was removed is not made again", () => {
  rmSync(dir, { recursive: true })
  expect(() => take()).toThrow("ENOENT")
})

test("a process id that no process has, or no process can have, is not alive", () => {
  expect(isAlive(process.pid)).toBe(true)
  expect([NOBODY, 0, -1, Number.NaN].map(isAlive)).toEqual([false, false, false, false])
})
