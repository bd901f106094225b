import { describe, expect, test } from "vitest"
import type { AppendOptions } from "../../bus/record-log.js"
import { TerminalError } from "../../errors.js"
import { type Clock, systemClock } from "../clock.js"
import { MemoryLog } from "../test-memory.js"
import { NondeterminismError } from "./call-hash.js"
import { Journal } from "./journal.js"
import { encodeRecord, journalSubject } from "./records.js"

const SUBJECT = journalSubject("test", "shop", "order-1")
const SLEEP = { wait: { kind: "sleep", until: "2026-01-01T00:00:00.000Z" }, event: {}, storedAt: "2026-01-01" } as const
const call = (position: number, name: string, input: unknown = null) => ({ position, call: name, input })

/** Notes which records are to be kept for ever. */
class WatchedLog extends MemoryLog {
  readonly kept: string[] = []

  override append(subject: string, payload: Uint8Array, expectedSeq: number, options: AppendOptions = {}) {
    if (options.forEver === true) this.kept.push(JSON.parse(Buffer.from(payload).toString()).kind)
    return super.append(subject, payload, expectedSeq)
  }
}

/** Stores each record, and is asked to store it again. */
class LossyLog extends MemoryLog {
  override async append(subject: string, payload: Uint8Array, expectedSeq: number) {
    await super.append(subject, payload, expectedSeq)
    return super.append(subject, payload, expectedSeq)
  }
}

/** A clock whose timers fire when they are told to. */
function handClock(): Clock & { fire(): void } {
  const timers = new Set<() => void>()
  return {
    ...systemClock,
    after: (_, work) => {
      timers.add(work)
      return () => timers.delete(work)
    },
    fire: () => {
      for (const work of timers) work()
      timers.clear()
    },
  }
}

const open = (log: MemoryLog, clock: Clock = handClock()) => Journal.open({ log, clock }, SUBJECT, "shop")

async function kinds(log: MemoryLog): Promise<string[]> {
  const all: string[] = []
  for await (const { data } of log.read(SUBJECT, { from: 1 })) all.push(JSON.parse(Buffer.from(data).toString()).kind)
  return all
}

describe("a call", () => {
  test("is made once: whoever opens the journal later gets its answer, also when it was nothing", async () => {
    const log = new MemoryLog()
    const first = await open(log)
    expect(await first.call(call(0, "run a"), () => ({ sum: 3 }))).toEqual({ sum: 3 })
    expect(await first.call(call(1, "run b"), () => undefined)).toBeNull()
    const second = await open(log)
    const never = () => Promise.reject(new Error("made again"))
    expect(await second.call(call(0, "run a"), never)).toEqual({ sum: 3 })
    expect(await second.call(call(1, "run b"), never)).toBeNull()
    expect(await kinds(log)).toEqual(["answer", "answer"])
  })

  test("that takes its time is noted while it runs, one that is over at once is not", async () => {
    const log = new MemoryLog()
    const clock = handClock()
    const journal = await open(log, clock)
    await journal.call(call(0, "run quick"), () => 1)
    clock.fire()
    let finish = (_: number): void => {}
    const slow = journal.call(call(1, "run slow"), () => new Promise<number>((resolve) => (finish = resolve)))
    await Promise.resolve()
    clock.fire()
    await expect.poll(() => kinds(log)).toEqual(["answer", "begun"])
    expect((await open(log)).calls).toEqual([
      { call: "run quick", answered: true },
      { call: "run slow", answered: false },
    ])
    finish(2)
    expect(await slow).toBe(2)
    expect((await open(log)).unknownTimes(call(1, "run slow"))).toBe(0)
  })

  test("that asks for something else than it did before is refused, and names both", async () => {
    const log = new MemoryLog()
    await (await open(log)).call(call(0, "run a"), () => 1)
    const journal = await open(log)
    await expect(journal.call(call(0, "run b"), () => 2)).rejects.toThrow(/call 0 was "run a" and is now "run b"/)
    await expect(journal.call(call(0, "run a", { other: 1 }), () => 2)).rejects.toThrow(/"run a" with other input/)
    await expect(journal.wait(call(0, "sleep", 5), async () => SLEEP)).rejects.toBeInstanceOf(NondeterminismError)
    expect(await kinds(log)).toEqual(["answer"])
  })

  test("where a wait stands that is not over is refused as well, and not made", async () => {
    const log = new MemoryLog()
    await (await open(log)).wait(call(0, "sleep", 5), async () => SLEEP)
    let made = 0
    await expect((await open(log)).call(call(0, "run a"), () => ++made)).rejects.toBeInstanceOf(NondeterminismError)
    expect(made).toBe(0)
  })

  test("that was refused for good is refused again", async () => {
    const log = new MemoryLog()
    const error = new TerminalError("a person said no", { code: "REFUSED" })
    await expect((await open(log)).refuse(call(0, "tool pay"), error)).rejects.toBe(error)
    const again = (await open(log)).call(call(0, "tool pay"), () => 1)
    await expect(again).rejects.toMatchObject({ name: "TerminalError", code: "REFUSED", message: "a person said no" })
  })

  test("of two nodes in one step the slower one is told so, and its answer counts for nothing", async () => {
    const log = new MemoryLog()
    const [one, two] = [await open(log), await open(log)]
    await one.call(call(0, "run a"), () => "one")
    await expect(two.call(call(0, "run a"), () => "two")).rejects.toMatchObject({ code: "STEP_TAKEN_OVER" })
    expect(await (await open(log)).call(call(0, "run a"), () => "three")).toBe("one")
  })

  test("whose own record is there although its ack was lost is answered", async () => {
    const log = new LossyLog()
    expect(await (await open(log)).call(call(0, "run a"), () => 1)).toBe(1)
    expect(await kinds(log)).toEqual(["answer"])
  })
})

test("is idle when this process is in none of its calls, however they end", async () => {
  const journal = await open(new MemoryLog())
  const ends: (() => void)[] = []
  const [first, second] = [0, 1].map((position) =>
    journal.call(call(position, `run ${position}`), () => new Promise<void>((resolve) => ends.push(resolve))),
  )
  let idle = false
  const waiting = journal.idle().then(() => {
    idle = true
  })
  ends[0]?.()
  await first
  expect(idle).toBe(false)
  ends[1]?.()
  await Promise.all([second, waiting])
  expect(journal.answerAt(1)).toBe(null)
  await journal.idle()
})

describe("a wait", () => {
  test("stands until what it waits for has come; what came first stays", async () => {
    const log = new MemoryLog()
    const first = await open(log)
    expect(await first.wait(call(0, "sleep", 5), async () => SLEEP)).toMatchObject({ kind: "waiting", arranged: false })
    const second = await open(log)
    expect(second.waitAt(0)?.wait).toEqual(SLEEP.wait)
    await second.resolve(0, "yes", 7)
    await second.resolve(0, "no", 8)
    const third = await open(log)
    expect(await third.wait(call(0, "sleep", 5), () => Promise.reject(new Error("noted twice")))).toEqual({
      kind: "answered",
      answer: "yes",
    })
    expect([third.broughtBy(0), third.waitsAt(0), third.waitAt(0), third.waitsAt(1)]).toEqual([
      7,
      true,
      undefined,
      false,
    ])
  })

  test("holds every answer so far, also those that come while it is written", async () => {
    const log = new MemoryLog()
    const journal = await open(log)
    await journal.call(call(0, "run a"), () => "a")
    const beside = journal.call(call(1, "run b"), () => "b")
    await Promise.all([beside, journal.wait(call(2, "sleep", 5), async () => SLEEP)])
    const waiting = (await open(log)).suspended
    expect(waiting?.answers.map(({ answer }) => answer)).toEqual(["a", "b"])
    await log.deleteBefore(SUBJECT, (await log.last(SUBJECT))?.seq ?? 0) // what lies before has aged out
    expect(await (await open(log)).call(call(1, "run b"), () => "again")).toBe("b")
  })

  test("does not carry more than a message holds: what is large is written once more, and a later wait carries nothing twice", async () => {
    const log = new WatchedLog()
    const journal = await open(log)
    const large = "x".repeat(100_000)
    for (const position of [0, 1, 2, 3]) await journal.call(call(position, `run ${position}`), () => large)
    await journal.wait(call(4, "sleep", 5), async () => SLEEP)
    expect(log.kept).toEqual(["answer", "answer", "answer", "answer", "waiting"])
    await journal.call(call(5, "run 5"), () => "small")
    await journal.wait(call(6, "sleep", 5), async () => SLEEP)
    await log.deleteBefore(SUBJECT, 5) // what was not kept for ever has aged out
    const later = await open(log)
    expect([0, 3, 5].map((position) => later.answerAt(position))).toEqual([large, large, "small"])
    expect(later.suspended?.answers).toEqual([])
    expect(later.waitsAt(4)).toBe(true)
  })

  test("is kept for ever with all that follows, until the step is done; then one record is left to age", async () => {
    const log = new WatchedLog()
    const journal = await open(log)
    await journal.call(call(0, "run a"), () => 1)
    expect(log.kept).toEqual([])
    await journal.wait(call(1, "ask"), async () => SLEEP)
    await journal.call(call(2, "run b"), () => 1)
    await journal.resolve(1, "yes", 1)
    await journal.end({ attempt: 1, outcome: "failed" })
    await journal.close()
    expect(log.kept).toEqual(["waiting", "answer", "answer"])
    expect(await kinds(log)).toEqual(["ended"])
    expect(await open(log)).toMatchObject({ done: true, suspended: undefined })
  })

  test("is arranged by whoever noted it: what came later need not do it again", async () => {
    const log = new MemoryLog()
    const first = await open(log)
    for (const position of [0, 1]) await first.wait(call(position, "sleep", 5), async () => SLEEP)
    const woken = await open(log)
    await woken.resolve(0, null, 3)
    woken.goOn(0)
    const again = (journal: Journal, position: number) => journal.wait(call(position, "sleep", 5), async () => SLEEP)
    expect(await again(woken, 1)).toMatchObject({ kind: "waiting", arranged: true })
    expect(await again(woken, 2)).toMatchObject({ kind: "waiting", arranged: false })
    const redelivered = await open(log) // it died before it had arranged the third
    redelivered.goOn(0)
    expect(await again(redelivered, 1)).toMatchObject({ arranged: true })
    expect(await again(redelivered, 2)).toMatchObject({ arranged: false })
  })

  test("a step that never waited leaves its journal as it is when it is done", async () => {
    const log = new MemoryLog()
    const journal = await open(log)
    await journal.call(call(0, "run a"), () => 1)
    await journal.close()
    expect(await kinds(log)).toEqual(["answer"])
  })
})

test("a step that was given up is so until it is tried again", async () => {
  const log = new MemoryLog()
  const journal = await open(log)
  await journal.end({ attempt: 1, outcome: "given-up" })
  expect((await open(log)).givenUp).toBe(true)
  await journal.begin(1, "node")
  expect((await open(log)).givenUp).toBe(false)
})

test("what murmur did not write is an error that names the journal", async () => {
  const log = new MemoryLog()
  await log.append(SUBJECT, Buffer.from('{"kind":"begun"}'), 0)
  await expect(open(log)).rejects.toMatchObject({ code: "JOURNAL_RECORD", message: expect.stringContaining(SUBJECT) })
  const done = encodeRecord({ kind: "ended", attempt: 1, outcome: "done", at: "2026-01-01" })
  expect(JSON.parse(Buffer.from(done).toString())).toMatchObject({ kind: "ended", outcome: "done" })
})
