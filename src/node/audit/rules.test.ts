import { expect, test } from "vitest"
import type { CommitRecord } from "../../agents/sessions/record.js"
import type { MurmurEvent } from "../../bus/event.js"
import type { AgentHistory } from "./read.js"
import { checkHistory } from "./rules.js"

const event = (id: string, seq: number): MurmurEvent => ({ id, seq }) as MurmurEvent
const commit = (id: string, seq: number, outputs: string[] = []): CommitRecord =>
  ({ cause: { id, seq, type: "t" }, outputs: outputs.map((output) => ({ id: output })) }) as unknown as CommitRecord

interface Draft {
  events: MurmurEvent[]
  sessions: Record<string, CommitRecord[]>
  outputs: MurmurEvent[]
  dead: string[]
}

/** Four events: three committed in two sessions, with an output each, one given up. */
const whole = (): Draft => ({
  events: [event("a", 1), event("b", 2), event("c", 3), event("d", 4)],
  sessions: { s1: [commit("a", 1, ["A"]), commit("c", 3, ["C"])], s2: [commit("b", 2, ["B"])] },
  outputs: [event("A", 5), event("B", 6), event("C", 7)],
  dead: ["d"],
})

function check(change: (draft: Draft) => void, storedOnce = true) {
  const draft = whole()
  change(draft)
  const history: AgentHistory = {
    events: new Map(draft.events.map((one) => [one.id, one])),
    sessions: new Map(Object.entries(draft.sessions)),
    outputs: draft.outputs,
    dead: new Set(draft.dead),
  }
  return checkHistory(history, { storedOnce }).map(({ promise, ids }) => [promise, ...ids])
}

test("a history in which all promises hold breaks none", () => {
  expect(check(() => {})).toEqual([])
})

test.each<[string, (draft: Draft) => void, string[][]]>([
  ["an event that nobody handled", ({ events }) => events.push(event("e", 8)), [["lost", "e"]]],
  ["an event that was given up and committed", ({ dead }) => dead.push("b"), [["doubled", "b"]]],
  ["an event committed twice in a session", ({ sessions }) => sessions.s2?.push(commit("b", 2)), [["doubled", "b"]]],
  [
    "an event committed in two sessions",
    ({ sessions }) => {
      sessions.s3 = [commit("b", 2)]
    },
    [["doubled", "b"]],
  ],
  ["a commit of an event that does not exist", ({ sessions }) => sessions.s2?.push(commit("x", 9)), [["doubled", "x"]]],
  [
    "events of a key out of order",
    ({ events, sessions }) => {
      events.push(event("e", 2.5))
      sessions.s1?.push(commit("e", 2.5))
    },
    [["order", "e"]],
  ],
  ["a committed output that is not on the bus", ({ outputs }) => void outputs.splice(1, 1), [["outputs", "B"]]],
  ["an output that nobody committed", ({ outputs }) => outputs.push(event("X", 8)), [["outputs", "X"]]],
  ["an output stored twice", ({ outputs }) => outputs.push(event("A", 8)), [["outputs", "A"]]],
  [
    "outputs of a key out of order",
    (draft) => {
      draft.outputs = [event("C", 5), event("B", 6), event("A", 7)]
    },
    [["outputs", "C"]],
  ],
])("%s is found", (_what, change, expected) => {
  expect(check(change)).toEqual(expected)
})

test("an output stored twice is fine outside the dedup window, and a cause without a place has no order", () => {
  expect(check(({ outputs }) => outputs.push(event("A", 8)), false)).toEqual([])
  expect(
    check(({ events, sessions }) => {
      events.push(event("inbox", 9))
      sessions.s1?.push(commit("inbox", 0))
    }),
  ).toEqual([])
})
