import { expect, test } from "vitest"
import type { MurmurEvent } from "../bus/event.js"
import { systemClock } from "./clock.js"
import type { IntakeGate } from "./intake.js"
import { Journal } from "./journal/journal.js"
import { journalSubject, type Wait } from "./journal/records.js"
import { Revival } from "./revival.js"
import type { Resume, SuspensionPort, Timer } from "./suspension.js"
import { MemoryLog } from "./test-memory.js"

const EVENT = {
  ...{ id: "order-1", source: "/s", type: "shop.order", time: "2026-01-01T00:00:00.000Z", key: "ada", data: { n: 1 } },
  ...{ producer: "cli", correlationid: "order-1", hops: 0, trust: "internal" },
}
const UNTIL = "2026-01-01T12:00:00.000Z"
const NOON = Date.parse(UNTIL)
const SLEEP: Wait = { kind: "sleep", until: UNTIL }
const ASK: Wait = { kind: "ask", id: "q", question: "Go?", choices: ["yes", "no"], default: "no", until: UNTIL }
const WAKE: Resume = { kind: "wake", step: "order-1", position: 0 }
const ANSWER: Resume = { kind: "answer", step: "order-1", position: 0, question: "q", answer: "yes", by: "ada" }

/** What brings the word. */
const by = (seq: number, producer = "murmur") => ({ seq, producer }) as MurmurEvent

/** A step that waits, and what its node is asked to do. */
async function suspended(wait: Wait, published: Record<string, readonly string[]> = {}) {
  const log = new MemoryLog()
  const timers: Timer[] = []
  const taken: unknown[] = []
  async function* ids(producer: string) {
    yield* published[producer] ?? []
  }
  const port = {
    setTimer: async (timer: Timer) => void timers.push(timer),
    clearTimer: async () => {},
    answered: async (id: string, how: object) => void taken.push({ id, ...how }),
  } as unknown as SuspensionPort
  const open = () => Journal.open({ log, clock: systemClock }, journalSubject("test", "shop", "order-1"), "shop")
  const gate = {
    recheck: (event: unknown) => ({ kind: "run", event }),
    refuse: (event: unknown) => ({ kind: "dead", given: { event } }),
  } as unknown as IntakeGate
  const journal = await open()
  const suspension = { wait, event: EVENT, storedAt: EVENT.time }
  await journal.wait({ position: 0, call: wait.kind, input: null }, async () => suspension)
  return { revival: new Revival(gate, open, port, { ids: (producer) => ids(producer) }), open, timers, taken }
}

test("A timer whose time has passed brings the event back as it was, at the place of what woke it", async () => {
  const { revival, open, timers, taken } = await suspended(SLEEP)
  const revived = await revival.revive(WAKE, by(77), NOON)
  expect(revived).toMatchObject({
    intake: { kind: "run", event: { id: "order-1", seq: 77, key: "ada", data: { n: 1 }, producer: "cli" } },
    storedAtMs: Date.parse(EVENT.time),
  })
  expect((await open()).answerAt(0)).toBeNull()
  expect([timers, taken]).toEqual([[], []])
})

test("One that is early by the server's clock does nothing but set itself once more", async () => {
  const { revival, open, timers } = await suspended(SLEEP)
  expect(await revival.revive(WAKE, by(77), NOON - 1)).toBeUndefined()
  expect((await open()).waitAt(0)).toBeDefined()
  expect(timers).toEqual([{ agent: "shop", key: "ada", step: "order-1", position: 0, at: new Date(UNTIL) }])
})

test("Delivered once more it brings the step back again, since the first one may have died; another one does not", async () => {
  const { revival } = await suspended(SLEEP)
  for (const seq of [77, 77]) expect(await revival.revive(WAKE, by(seq), NOON)).toBeDefined()
  expect(await revival.revive(WAKE, by(78), NOON)).toBeUndefined()
})

test.each<[string, Resume, unknown]>([
  ["an answer", ANSWER, { id: "q", answer: "yes", by: "ada" }],
  ["its time", WAKE, { id: "q", answer: "no", by: undefined }],
])("A question is taken off the list by %s, and its answer told", async (_, resume, expected) => {
  const { revival, taken } = await suspended(ASK)
  expect(await revival.revive(resume, by(77), NOON)).toBeDefined()
  expect(taken).toEqual([expected])
})

test.each<[string, Wait, Resume]>([
  ["a place where nothing waits", SLEEP, { ...WAKE, position: 1 }],
  ["an answer to a sleep", SLEEP, ANSWER],
  ["an answer to another question", ASK, { ...ANSWER, question: "p" } as Resume],
  ["what is no choice", ASK, { ...ANSWER, answer: "perhaps" } as Resume],
])("Nothing goes on by %s", async (_, wait, resume) => {
  const { revival, open, timers, taken } = await suspended(wait)
  expect(await revival.revive(resume, by(77), NOON)).toBeUndefined()
  expect((await open()).waitAt(0)?.wait).toEqual(wait)
  expect([timers, taken]).toEqual([[], []])
})

test("What comes for a step that was given up is written down, and runs nothing; one that is done knows nothing of it", async () => {
  const { revival, open } = await suspended(ASK)
  await (await open()).end({ attempt: 1, outcome: "given-up" })
  expect(await revival.revive(ANSWER, by(77), NOON)).toBeUndefined()
  expect((await open()).answerAt(0)).toBe("yes")
  await (await open()).close()
  expect(await revival.revive(ANSWER, by(78), NOON)).toBeUndefined()
})
