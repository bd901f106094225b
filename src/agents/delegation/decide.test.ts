import { describe, expect, test } from "vitest"
import type { TaskWait } from "../journal/records.js"
import { agreed } from "./agreed.js"
import { type Arrived, decide, decideAtDeadline } from "./decide.js"

const wait = (mode: TaskWait["mode"], count: number): TaskWait => ({
  kind: "task",
  mode,
  tasks: Array.from({ length: count }, (_, n) => ({ id: `t${n}`, agent: `a${n}`, key: `t${n}` })),
  from: "2026-01-01T00:00:00.000Z",
  until: "2026-01-01T01:00:00.000Z",
})
const good = (n: number): Arrived => ({ task: `t${n}`, result: { ok: true, output: n } })
const says = (n: number, output: unknown): Arrived => ({ task: `t${n}`, result: { ok: true, output } })
const bad = (n: number): Arrived => ({ task: `t${n}`, result: { ok: false, error: { code: "E", message: `${n}` } } })

/** What of `good 2, bad 0` is known of tasks 0, 1, 2: the output, the code of an error, or nothing. */
const told = (results: ReturnType<typeof decide>) =>
  results?.map((result) => (result.ok ? result.output : result.error.code))

describe("decide", () => {
  test.each<[TaskWait["mode"], number, Arrived[], unknown[] | undefined]>([
    ["all", 2, [], undefined],
    ["all", 2, [good(1)], undefined],
    ["all", 2, [bad(1), good(0)], [0, "E"]],
    ["first", 3, [], undefined],
    ["first", 3, [bad(0)], undefined],
    ["first", 3, [bad(0), good(2)], ["E", "DELEGATE_UNANSWERED", 2]],
    ["first", 2, [bad(0), bad(1)], ["E", "E"]],
    ["majority", 3, [good(0)], undefined],
    ["majority", 3, [good(0), bad(1)], undefined],
    ["majority", 3, [good(2), good(0)], [0, "DELEGATE_UNANSWERED", 2]],
    ["majority", 4, [good(0), good(1)], undefined],
    ["majority", 4, [good(0), good(1), good(2)], [0, 1, 2, "DELEGATE_UNANSWERED"]],
    ["majority", 3, [bad(0), bad(1)], ["E", "E", "DELEGATE_UNANSWERED"]],
    ["majority", 4, [bad(0), bad(1)], ["E", "E", "DELEGATE_UNANSWERED", "DELEGATE_UNANSWERED"]],
    ["majority", 1, [good(0)], [0]],
    ["agreement", 3, [says(0, { a: 1, b: 2 }), says(1, { a: 1 })], undefined],
    ["agreement", 3, [says(0, { a: 1, b: 2 }), bad(1)], undefined],
    [
      "agreement",
      3,
      [says(0, { a: 1, b: 2 }), says(2, { b: 2, a: 1 })],
      [{ a: 1, b: 2 }, "DELEGATE_UNANSWERED", { b: 2, a: 1 }],
    ],
    ["agreement", 3, [says(0, 1), says(1, 2), says(2, 1)], [1, 2, 1]],
    ["agreement", 4, [says(0, 1), says(1, 1)], undefined],
    ["agreement", 4, [says(0, 1), says(1, 2), bad(2)], [1, 2, "E", "DELEGATE_UNANSWERED"]],
    ["agreement", 3, [says(0, null), says(1, undefined)], [null, undefined, "DELEGATE_UNANSWERED"]],
  ])("of %s of %i tasks", (mode, count, arrived, expected) => {
    expect(told(decide(wait(mode, count), arrived))).toEqual(expected)
  })

  test("at the deadline goes on with what has come", () => {
    expect(told(decideAtDeadline(wait("all", 3), [good(1)]))).toEqual(["DELEGATE_TIMEOUT", 1, "DELEGATE_TIMEOUT"])
  })
})

describe("agreed", () => {
  const results = (...arrived: Arrived[]) => arrived.map(({ result }) => result)

  test.each<[string, ReturnType<typeof results>, unknown]>([
    ["what more than half say", results(says(0, "yes"), says(1, "no"), says(2, "yes")), "yes"],
    ["nothing where they are split", results(says(0, "yes"), says(1, "no")), undefined],
    ["nothing where those who agree are not half of all", results(says(0, "yes"), bad(1), bad(2)), undefined],
    ["nothing of nobody", [], undefined],
  ])("is %s", (_, all, expected) => {
    expect(agreed(all)).toEqual(expected)
  })
})
