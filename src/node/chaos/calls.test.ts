import { expect, test } from "vitest"
import type { BillLine } from "./bill.js"
import { countCalls } from "./calls.js"

const called = (at: number, pid = 1, call = "draft"): BillLine => ({ what: "called", event: "e", call, pid, at })
const answered = new Map([["e draft", 1_000]])
const stood = { pid: 2, from: 800, to: 5_000 }

const noted: BillLine = { what: "stood", forMs: 4_200, pid: 2, at: 5_050 }

const cases: [string, BillLine[], Parameters<typeof countCalls>[3], { inFlight: number; again: string[] }][] = [
  ["made once", [called(900)], [], { inFlight: 0, again: [] }],
  ["repeated before its answer was stored", [called(500), called(900, 2)], [], { inFlight: 1, again: [] }],
  ["repeated after its answer was stored", [called(900), called(2_000, 2)], [], { inFlight: 0, again: ["e draft"] }],
  ["made by a process that wakes up", [called(900), called(5_100, 2)], [stood], { inFlight: 1, again: [] }],
  [
    "made by a process that found out that it had stood still",
    [called(900), called(5_100, 2), noted],
    [],
    { inFlight: 1, again: [] },
  ],
  ["made by another one than woke up", [called(900), called(5_100, 3)], [stood], { inFlight: 0, again: ["e draft"] }],
  ["made long after it woke up", [called(900), called(9_000, 2)], [stood], { inFlight: 0, again: ["e draft"] }],
  [
    "made by one that stood still before there was an answer",
    [called(900), called(1_500, 2)],
    [{ pid: 2, from: 100, to: 700 }],
    { inFlight: 0, again: ["e draft"] },
  ],
]

test.each(cases)("a call %s", (_what, lines, standstills, expected) => {
  const counted = countCalls(lines, ["e draft"], answered, standstills)
  expect(counted).toEqual({
    wanted: 1,
    made: lines.filter(({ what }) => what === "called").length,
    never: [],
    ...expected,
  })
})

test("a call that was never made is told, and what is no call is not counted", () => {
  const began: BillLine = { what: "began", event: "e", pid: 1, at: 1 }
  expect(countCalls([began, called(900)], ["e draft", "e review"], answered, [])).toEqual({
    ...{ wanted: 2, made: 1, inFlight: 0, again: [] },
    never: ["e review"],
  })
})

test("a call whose answer was never stored may be repeated", () => {
  expect(countCalls([called(1), called(90_000, 2)], ["e draft"], new Map(), [])).toMatchObject({
    inFlight: 1,
    again: [],
  })
})
