import { describe, expect, test } from "vitest"
import { type Change, changedRecord, type LimitRecord, NO_RECORD, readRecord, recordKey } from "./rate-limits-record.js"

const MINUTE_MS = 60_000
const T0 = 1_800_000_000_000
const NOTHING: Change = {
  requests: 0,
  tokens: 0,
  graceMs: 1_000,
  refunds: [],
  holdMs: undefined,
  probe: false,
  answered: false,
}

/** A record after a write that the server stored at this time under this revision. */
function written(record: LimitRecord, change: Partial<Change>, at: number, revision: number): LimitRecord {
  const value = changedRecord(record, { ...NOTHING, ...change }, at, MINUTE_MS)
  return readRecord({ key: "k", value: JSON.parse(JSON.stringify(value)), revision, at: new Date(at) })
}

const sum = ({ sent }: LimitRecord): readonly [requests: number, tokens: number] => [
  sent.reduce((all, { requests }) => all + requests, 0),
  sent.reduce((all, { tokens }) => all + tokens, 0),
]

test("what a write grants has the time and the revision that the server gave it", () => {
  const one = written(NO_RECORD, { requests: 2, tokens: 30 }, T0, 7)
  expect(one.sent).toEqual([{ revision: 7, at: T0, requests: 2, tokens: 30, graceMs: 1_000 }])
  const two = written(one, { requests: 1, tokens: 5 }, T0 + 5_000, 9)
  expect(two.sent.map(({ revision, at }) => [revision, at])).toEqual([
    [7, T0],
    [9, T0 + 5_000],
  ])
})

test("what is written close together is kept as one, and counts as long as the last of it", () => {
  let record = NO_RECORD
  for (let n = 0; n < 600; n++) record = written(record, { requests: 1, graceMs: 1_000 + n }, T0 + n * 100, n + 1)
  expect(record.sent.length).toBeLessThanOrEqual(62)
  expect(sum(record)).toEqual([600, 0])
  expect(record.sent[0]).toMatchObject({ at: T0 + 900, revision: 10, requests: 10, graceMs: 1_009 })
})

test("what no longer counts is left out, a minute and its grace later", () => {
  const one = written(NO_RECORD, { requests: 1, graceMs: 3_000 }, T0, 1)
  expect(sum(written(one, { requests: 1 }, T0 + 62_999, 2))).toEqual([2, 0])
  expect(sum(written(one, { requests: 1 }, T0 + 63_000, 2))).toEqual([1, 0])
})

test("what is given back goes out of the slice that holds its write, and never below nothing", () => {
  let record = written(NO_RECORD, { requests: 1, tokens: 100 }, T0, 3)
  record = written(record, { requests: 1, tokens: 100 }, T0 + 10, 5)
  record = written(record, { requests: 1, tokens: 100 }, T0 + 5_000, 8)
  record = written(record, { refunds: [{ revision: 3, requests: 0, tokens: 40 }] }, T0 + 6_000, 9)
  expect(record.sent.map(({ revision, tokens }) => [revision, tokens])).toEqual([
    [5, 160],
    [8, 100],
  ])
  const refunds = [
    { revision: 8, requests: 5, tokens: 500 },
    { revision: 99, requests: 1, tokens: 1 },
  ]
  expect(sum(written(record, { refunds }, T0 + 7_000, 10))).toEqual([2, 160])
})

test("tokens that were used beyond an estimate count without a request", () => {
  expect(written(NO_RECORD, { tokens: 50 }, T0, 1).sent).toMatchObject([{ requests: 0, tokens: 50 }])
})

test("a record that cannot be read counts as full when it was written, and its writes go on from there", () => {
  for (const value of [null, "x", { sent: [[1, 2, 3]] }, { sent: [[1, T0, -5, 0, 0]] }]) {
    const record = readRecord({ key: "k", value, revision: 4, at: new Date(T0) })
    expect(record.sent).toMatchObject([{ at: T0, requests: Number.MAX_SAFE_INTEGER, tokens: Number.MAX_SAFE_INTEGER }])
    const next = written(record, { requests: 1, tokens: 1 }, T0 + 1, 5)
    expect(sum(next)[0]).toBeGreaterThanOrEqual(Number.MAX_SAFE_INTEGER)
  }
})

test("nothing is younger than its record: after the server's clock was set back it would count for too long", () => {
  const one = written(NO_RECORD, { requests: 1, holdMs: 500 }, T0 + 3_600_000, 1)
  const two = written(one, { requests: 1 }, T0, 2)
  expect(two.sent.map(({ at }) => at)).toEqual([T0, T0])
  expect(two.hold).toMatchObject({ untilMs: T0 + 500 })
})

describe("a hold", () => {
  const held = written(NO_RECORD, { holdMs: 10_000.2 }, T0, 1)

  test("lasts from the time at which it was written", () => {
    expect(held.hold).toEqual({ fromMs: T0, untilMs: T0 + 10_001, probedAt: undefined })
  })

  test("is not made shorter, and may be made longer", () => {
    expect(written(held, { holdMs: 1_000 }, T0 + 1_000, 2).hold?.untilMs).toBe(T0 + 10_001)
    expect(written(held, { holdMs: 20_000 }, T0 + 1_000, 2).hold?.untilMs).toBe(T0 + 21_000)
  })

  test("ends when a probe was answered, and only then", () => {
    expect(written(held, { answered: true }, T0 + 11_000, 2).hold).toBeDefined()
    const probed = written(held, { requests: 1, probe: true }, T0 + 11_000, 2)
    expect(probed.hold).toEqual({ fromMs: T0, untilMs: T0 + 10_001, probedAt: T0 + 11_000 })
    expect(written(probed, { answered: true }, T0 + 12_000, 3).hold).toBeUndefined()
    expect(written(probed, { holdMs: 3_000 }, T0 + 12_000, 3).hold).toEqual({
      fromMs: T0 + 12_000,
      untilMs: T0 + 15_000,
      probedAt: undefined,
    })
  })

  test("is forgotten a window after it, or when a probe was not refused for five seconds", () => {
    const probed = written(held, { probe: true }, T0 + 11_000, 2)
    expect(written(probed, {}, T0 + 15_000, 3).hold).toBeDefined()
    expect(written(probed, {}, T0 + 16_001, 3).hold).toBeUndefined()
    expect(written(held, {}, T0 + 70_000, 2).hold).toBeDefined()
    expect(written(held, {}, T0 + 70_002, 2).hold).toBeUndefined()
  })
})

test("accounts of any name have keys of their own, as buckets allow them", () => {
  const keys = [
    recordKey("openai", "a"),
    recordKey("openai", "b"),
    recordKey("open ai", "a"),
    recordKey("open.ai", "ü *>"),
    recordKey("openai\na", ""),
  ]
  expect(new Set(keys).size).toBe(keys.length)
  for (const key of keys) expect(key).toMatch(/^[\w-]+\.[\w-]{22}$/)
})
