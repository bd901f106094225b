import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { TraceContext } from "../../bus/event.js"
import { type ClosingWindow, LINKS_MAX } from "./host.js"
import { type Assigner, type EventWindow, WindowSet } from "./window-set.js"

interface Input {
  readonly timeMs: number
  readonly seq: number
  readonly trace?: TraceContext
}

interface Run {
  readonly windows: EventWindow<number>[]
  readonly closes: ClosingWindow[]
  readonly late: number[]
  held: number
  add(input: Input): void
  quiet(): void
  firstSeq(): number | undefined
}

function run(assigner: Assigner, latenessMs = 0, closedThrough = Number.NEGATIVE_INFINITY): Run {
  let adding = 0
  const result = { windows: [] as EventWindow<number>[], closes: [] as ClosingWindow[], late: [] as number[], held: 0 }
  const set = new WindowSet<number>(
    assigner,
    {
      current: () => ({ timeMs: 0, seq: 0 }),
      closedThrough,
      firstSeq: Number.NEGATIVE_INFINITY,
      latenessMs,
      close: (window, emit) => {
        result.closes.push(window)
        emit()
      },
      held: (copies) => {
        result.held += copies
      },
      late: () => result.late.push(adding),
    },
    (window) => result.windows.push(window),
  )
  return Object.assign(result, {
    add: ({ seq, ...place }: Input) => {
      adding = seq
      set.add(seq, { seq, ...place })
    },
    quiet: () => set.closeAll(),
    firstSeq: () => set.firstSeq(),
  })
}

const tumbling = (ms: number): Assigner => ({
  merges: false,
  assign: (timeMs) => [{ start: Math.floor(timeMs / ms) * ms, end: Math.floor(timeMs / ms) * ms + ms }],
})
const sliding = (ms: number, stepMs: number): Assigner => ({
  merges: false,
  assign: (timeMs) => {
    const windows = []
    for (let start = Math.floor(timeMs / stepMs) * stepMs; start > timeMs - ms; start -= stepMs) {
      windows.push({ start, end: start + ms })
    }
    return windows.reverse()
  },
})
const sessions = (gapMs: number): Assigner => ({
  merges: true,
  assign: (timeMs) => [{ start: timeMs, end: timeMs + gapMs }],
})

const inputs = fc
  .array(fc.integer({ min: -20, max: 100 }), { maxLength: 40 })
  .map((times) => times.map((timeMs, index) => ({ timeMs, seq: index + 1 })))

describe("windows of fixed length, against a list that is looked through", () => {
  test.each<[string, Assigner]>([
    ["tumbling", tumbling(10)],
    ["sliding", sliding(12, 4)],
  ])("%s: each event is in exactly its windows, and those it comes too late for count", (_, assigner) => {
    fc.assert(
      fc.property(inputs, fc.integer({ min: 0, max: 30 }), (events, latenessMs) => {
        const set = run(assigner, latenessMs)
        const expected = new Map<string, number[]>()
        const late: number[] = []
        let watermark = Number.NEGATIVE_INFINITY
        for (const { timeMs, seq } of events) {
          const windows = assigner.assign(timeMs).filter(({ end }) => end > watermark - latenessMs)
          if (windows.length === 0) late.push(seq)
          for (const { start, end } of windows) {
            const key = `${start}:${end}`
            expected.set(key, [...(expected.get(key) ?? []), seq])
          }
          watermark = Math.max(watermark, timeMs)
          set.add({ timeMs, seq })
          expectOpen(set, expected)
        }
        set.quiet()
        const found = new Map(set.windows.map(({ start, end, events: of }) => [`${start}:${end}`, [...of]]))
        expect(found).toEqual(expected)
        expect(set.windows.length).toBe(expected.size)
        expect(set.late).toEqual(late)
        expect(set.held).toBe(0)
      }),
      { numRuns: 500 },
    )
  })
})

/** What is still open holds as many copies as it says, and knows its oldest event. */
function expectOpen(set: Run, all: ReadonlyMap<string, readonly number[]>): void {
  const closed = new Set(set.windows.map(({ start, end }) => `${start}:${end}`))
  const open = [...all].filter(([key]) => !closed.has(key)).flatMap(([, seqs]) => seqs)
  expect(set.held).toBe(open.length)
  expect(set.firstSeq()).toBe(open.length === 0 ? undefined : Math.min(...open))
}

describe("sessions", () => {
  test("when none is late, they are the runs of events without a gap, whatever the order of arrival", () => {
    fc.assert(
      fc.property(inputs, fc.integer({ min: 1, max: 12 }), (events, gapMs) => {
        const set = run(sessions(gapMs), 1_000)
        for (const event of events) set.add(event)
        expect(set.windows).toEqual([])
        set.quiet()
        const byTime = [...events].sort((a, b) => a.timeMs - b.timeMs)
        const expected: Input[][] = []
        for (const event of byTime) {
          const last = expected.at(-1)
          const newest = last?.at(-1)
          if (last !== undefined && newest !== undefined && event.timeMs - newest.timeMs < gapMs) last.push(event)
          else expected.push([event])
        }
        expect(set.windows).toEqual(
          expected.map((of) => ({
            start: of[0]?.timeMs,
            end: (of.at(-1)?.timeMs ?? 0) + gapMs,
            events: of.map(({ seq }) => seq).sort((a, b) => a - b),
          })),
        )
        expect([set.late, set.held]).toEqual([[], 0])
      }),
      { numRuns: 500 },
    )
  })

  test("an event between two sessions makes one of them", () => {
    const set = run(sessions(5), 100)
    for (const [seq, timeMs] of [1, 8, 5].entries()) set.add({ timeMs, seq: seq + 1 })
    set.quiet()
    expect(set.windows).toEqual([{ start: 1, end: 13, events: [1, 2, 3] }])
  })

  test("one that comes after its session was closed is late and does not open it again", () => {
    const set = run(sessions(5))
    for (const [seq, timeMs] of [1, 20, 3].entries()) set.add({ timeMs, seq: seq + 1 })
    expect(set.windows).toEqual([{ start: 1, end: 6, events: [1] }])
    expect(set.late).toEqual([3])
  })
})

test("several windows that close at once close in order, and each says no more than that it is closed", () => {
  const set = run(sliding(10, 5))
  const traces = ["a", "b", "c"].map((traceparent) => ({ traceparent }))
  const [a, b] = traces
  for (const [seq, timeMs] of [1, 6, 50].entries())
    set.add({ timeMs, seq: seq + 1, trace: traces[seq] as TraceContext })
  expect(set.closes).toEqual([
    { start: -5, end: 5, through: 5, size: 1, traces: [a] },
    { start: 0, end: 10, through: 10, size: 2, traces: [a, b] },
    { start: 5, end: 15, through: 15, size: 1, traces: [b] },
  ])
})

test("of the events in a window so many spans are known, also when windows become one", () => {
  const set = run(sessions(10), 100)
  const trace = { traceparent: "x" }
  const events = [...Array(LINKS_MAX - 2).fill(0), ...Array(5).fill(15), 8]
  for (const [seq, timeMs] of events.entries()) set.add({ timeMs, seq: seq + 1, trace })
  set.add({ timeMs: 30, seq: 1_000 })
  set.quiet()
  expect(set.closes.map(({ size, traces }) => [size, traces.length])).toEqual([
    [LINKS_MAX + 4, LINKS_MAX],
    [1, 0],
  ])
})

test("what was closed before a crash stays closed, and what was not is built again", () => {
  fc.assert(
    fc.property(inputs, fc.nat(20), (events, crashAfterCloses) => {
      const whole = run(sliding(12, 4))
      for (const event of events) whole.add(event)
      const through = whole.closes[crashAfterCloses]?.through ?? Number.NEGATIVE_INFINITY
      const done = whole.closes.slice(0, crashAfterCloses + 1)
      if (through === Number.NEGATIVE_INFINITY) return
      const again = run(sliding(12, 4), 0, through)
      for (const event of events) again.add(event)
      expect([...done, ...again.closes].map(({ start, size }) => [start, size])).toEqual(
        whole.closes.map(({ start, size }) => [start, size]),
      )
    }),
    { numRuns: 500 },
  )
})

test("a quiet key that goes on has its closed windows closed", () => {
  const set = run(tumbling(10))
  set.add({ timeMs: 3, seq: 1 })
  set.quiet()
  set.add({ timeMs: 4, seq: 2 })
  set.add({ timeMs: 12, seq: 3 })
  set.quiet()
  expect(set.windows).toEqual([
    { start: 0, end: 10, events: [1] },
    { start: 10, end: 20, events: [3] },
  ])
  expect(set.late).toEqual([2])
})
