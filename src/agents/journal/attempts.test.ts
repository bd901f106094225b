import { expect, test } from "vitest"
import { Attempts } from "./attempts.js"
import type { JournalRecord } from "./records.js"

const at = "2026-01-01T00:00:00.000Z"
const of = (position: number, attempt: number, name = `run ${position}`) => ({
  ...{ position, call: name, hash: "h", attempt, at },
})
const begun = (position: number, attempt: number): JournalRecord => ({ kind: "begun", ...of(position, attempt) })
const answer = (position: number, attempt: number): JournalRecord => ({
  ...{ kind: "answer", ...of(position, attempt), answer: 1 },
})
const undone = (position: number, attempt: number): JournalRecord => ({ kind: "undone", ...of(position, attempt) })
const attempt = (number: number): JournalRecord => ({ kind: "attempt", attempt: number, node: "n", at })
const ended = (number: number, outcome: "failed" | "stopped" | "suspended" | "given-up" | "done"): JournalRecord => ({
  ...{ kind: "ended", attempt: number, outcome, at, error: { code: "E", message: "no" } },
})
const waiting: JournalRecord = {
  ...{ kind: "waiting", ...of(0, 1, "sleep"), wait: { kind: "sleep", until: at } },
  ...{ event: {}, storedAt: at, answers: [] },
}

function after(...records: JournalRecord[]): Attempts {
  const attempts = new Attempts()
  for (const record of records) attempts.apply(record)
  return attempts
}

test.each<[string, JournalRecord[], { spent: number; deaths: number; open: boolean }]>([
  ["nothing", [], { spent: 0, deaths: 0, open: false }],
  ["one that began and told no more", [attempt(1)], { spent: 1, deaths: 1, open: true }],
  ["one that made calls and told no more", [answer(0, 1), begun(1, 1)], { spent: 1, deaths: 1, open: true }],
  ["two that failed", [ended(1, "failed"), answer(0, 2), ended(2, "failed")], { spent: 2, deaths: 0, open: false }],
  ["one that was stopped", [answer(0, 1), ended(1, "stopped")], { spent: 0, deaths: 0, open: false }],
  [
    "a death, a failure, a stop",
    [attempt(1), attempt(2), ended(2, "failed"), ended(3, "stopped")],
    { spent: 2, deaths: 1, open: false },
  ],
  ["what came between attempts", [answer(0, 0)], { spent: 0, deaths: 0, open: false }],
  ["a new wait", [ended(1, "failed"), begun(1, 2), waiting], { spent: 0, deaths: 0, open: false }],
  [
    "an old wait, stood before again",
    [waiting, answer(0, 0), attempt(1), ended(1, "suspended")],
    { spent: 0, deaths: 0, open: false },
  ],
  ["a call beside a wait", [waiting, answer(1, 1)], { spent: 1, deaths: 1, open: true }],
  [
    "five that failed, and it was given up",
    [1, 2, 3, 4, 5].map((n) => ended(n, "failed")).concat(ended(5, "given-up")),
    { spent: 0, deaths: 0, open: false },
  ],
])("attempts are counted over processes: %s", (_, records, expected) => {
  const { spent, deaths, open } = after(...records)
  expect({ spent, deaths, open }).toEqual(expected)
})

test("the last one tells what it did: what was under way, and nothing of a call that had no effect", () => {
  const { last } = after(
    attempt(1),
    ended(1, "failed"),
    attempt(2),
    begun(0, 2),
    answer(0, 2),
    begun(1, 2),
    begun(2, 2),
    undone(1, 2),
  )
  expect(last).toEqual({
    ...{ attempt: 2, ended: "died", at },
    calls: [
      { call: "run 0", answered: true },
      { call: "run 2", answered: false },
    ],
  })
})

test("all that failed or died are told, those that were stopped are not", () => {
  const { all } = after(attempt(1), attempt(2), ended(2, "failed"), ended(3, "stopped"))
  expect(all.map((past) => [past.attempt, past.ended, past.error?.message])).toEqual([
    [1, "died", undefined],
    [2, "failed", "no"],
  ])
})
