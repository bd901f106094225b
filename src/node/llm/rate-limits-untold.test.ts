import { expect, test } from "vitest"
import type { Grant } from "./rate-limits-ahead.js"
import { Untold } from "./rate-limits-untold.js"

const WINDOW_MS = 60_000
const grant = (revision: number, since: number): Grant => {
  return { revision, tokens: 100, since, until: since + 500, probe: false }
}
function open(): { readonly clock: { ms: number; steady(): number }; readonly untold: Untold } {
  const clock = { ms: 1_000, steady: () => clock.ms }
  return { clock, untold: new Untold(clock, WINDOW_MS) }
}
const QUIET = { refunds: [], extraTokens: 0, holdMs: undefined, answered: false }

test("what requests came to is told soon, all at once, and once", () => {
  const { clock, untold } = open()
  expect(untold.dueAt).toBe(Infinity)
  untold.used(grant(1, 1_000), 40)
  clock.ms += 50
  untold.used(grant(2, 1_000), 130)
  untold.used(grant(3, 1_000), 100)
  untold.unused({ grant: grant(4, 1_000), count: 2 })
  expect(untold.dueAt).toBe(1_100)
  const { news, told } = untold.tell()
  expect(news).toEqual({
    ...QUIET,
    refunds: [
      { revision: 1, requests: 0, tokens: 60 },
      { revision: 4, requests: 2, tokens: 200 },
    ],
    extraTokens: 30,
  })
  untold.used(grant(5, 1_000), 150) // while the others are being written
  told()
  expect(untold.tell().news).toEqual({ ...QUIET, extraTokens: 50 })
})

test("what was granted a window ago is not given back: its place may be another's", () => {
  const { clock, untold } = open()
  untold.used(grant(1, 1_000), 40)
  clock.ms = 1_000 + WINDOW_MS
  expect(untold.tell().news).toEqual(QUIET)
})

test("a longer pause takes the place of a shorter one, and is told at once", () => {
  const { clock, untold } = open()
  expect(untold.hold(5_000)).toBe(true)
  expect(untold.hold(4_000)).toBe(false)
  expect(untold.dueAt).toBe(Number.NEGATIVE_INFINITY)
  clock.ms += 1_000
  expect(untold.heldMs).toBe(4_000)
  const { news, told } = untold.tell()
  expect(news).toEqual({ ...QUIET, holdMs: 4_000 })
  untold.hold(9_000)
  told()
  expect(untold.tell().news).toEqual({ ...QUIET, holdMs: 9_000 })
})

test("a provider that says later does not answer, whatever was thought before", () => {
  const { untold } = open()
  untold.answers()
  expect(untold.tell().news.answered).toBe(true)
  untold.hold(1_000)
  expect(untold.tell().news).toEqual({ ...QUIET, holdMs: 1_000 })
})

test("refunds are bounded: what is too many goes on counting", () => {
  const { untold } = open()
  for (let n = 0; n < 2_000; n++) untold.used(grant(n, 1_000), 0)
  expect(untold.tell().news.refunds).toHaveLength(1_000)
})
