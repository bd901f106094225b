import { concat, from, map, NEVER, type Observable, of, throwError } from "rxjs"
import { TestScheduler } from "rxjs/testing"
import { describe, expect, test } from "vitest"
import { sessionWindow, sliding, tumbling } from "./operators.js"
import type { EventWindow } from "./window-set.js"

interface Tick {
  readonly time: string
  readonly seq: number
}

const tick = (seconds: number, seq = seconds): Tick => ({ time: new Date(seconds * 1_000).toISOString(), seq })
const seconds = ({ start, end, events }: EventWindow<Tick>): string =>
  `${start / 1_000}-${end / 1_000}:${events.map(({ seq }) => seq).join(",")}`

/** Letters stand for events of these seconds, and results for windows as {@link seconds} writes them. */
function marbles(
  operator: () => (ticks: Observable<Tick>) => Observable<EventWindow<Tick>>,
  ticks: Record<string, number>,
  input: string,
  output: string,
  windows: Record<string, string>,
): void {
  const scheduler = new TestScheduler((actual, expected) => expect(actual).toEqual(expected))
  scheduler.run(({ hot, expectObservable }) => {
    const values = Object.fromEntries(Object.entries(ticks).map(([letter, at]) => [letter, tick(at)]))
    expectObservable(hot(input, values).pipe(operator(), map(seconds))).toBe(output, windows)
  })
}

describe("marbles, outside of an agent", () => {
  test("tumbling: a window comes when an event is past its end, the last one at the end", () => {
    marbles(() => tumbling(10_000), { a: 1, b: 9, c: 10, d: 35 }, "-a-b-c-d-|", "-----x-y-(z|)", {
      x: "0-10:1,9",
      y: "10-20:10",
      z: "30-40:35",
    })
  })

  test("sliding: windows that close together come together, oldest first", () => {
    marbles(() => sliding(10_000, 5_000), { a: 1, b: 6, c: 30 }, "-a-b-c---|", "---x-(yz)(uv|)", {
      x: "-5-5:1",
      y: "0-10:1,6",
      z: "5-15:6",
      u: "25-35:30",
      v: "30-40:30",
    })
  })

  test("sessions: a window comes when the gap is over", () => {
    marbles(() => sessionWindow(5_000), { a: 1, b: 4, c: 9, d: 30 }, "-a-b-c-d-|", "-----x-y-(z|)", {
      x: "1-9:1,4",
      y: "9-14:9",
      z: "30-35:30",
    })
  })

  test("a source that fails takes its open windows along", () => {
    marbles(() => tumbling(10_000), { a: 1 }, "-a-#", "---#", {})
  })

  test("what is unsubscribed is closed nowhere", () => {
    const seen: string[] = []
    const subscription = concat(of(tick(1)), NEVER)
      .pipe(tumbling(10_000), map(seconds))
      .subscribe((window) => seen.push(window))
    subscription.unsubscribe()
    expect(seen).toEqual([])
  })
})

test("a value without a time is an error of the stream and not of the process", () => {
  const errors: unknown[] = []
  from([{ n: 1 }])
    .pipe(tumbling(1_000))
    .subscribe({ error: (error) => errors.push(error) })
  expect(errors).toEqual([expect.objectContaining({ code: "WINDOW_TIME" })])
  const passed: unknown[] = []
  throwError(() => "x")
    .pipe(tumbling(1_000))
    .subscribe({ error: (error) => passed.push(error) })
  expect(passed).toEqual(["x"])
})

describe("wrong options are refused with what was wanted and found", () => {
  test.each<[string, () => unknown, string]>([
    ["tumbling(0)", () => tumbling(0), "ms must be a positive integer of milliseconds, is 0"],
    ["tumbling(1.5)", () => tumbling(1.5), "is 1.5"],
    ["tumbling(NaN)", () => tumbling(Number.NaN), "is NaN"],
    ["tumbling(Infinity)", () => tumbling(Number.POSITIVE_INFINITY), "is Infinity"],
    ["sliding(10, 3)", () => sliding(10, 3), "multiple of stepMs, is 10 with stepMs 3"],
    ["sliding(5, 10)", () => sliding(5, 10), "multiple of stepMs, is 5 with stepMs 10"],
    ["sliding(10, -5)", () => sliding(10, -5), "stepMs must be a positive integer of milliseconds, is -5"],
    ["sliding(1 day, 1 ms)", () => sliding(86_400_000, 1), "at most 1000 windows, with ms 86400000 and stepMs 1"],
    ["sessionWindow(-1)", () => sessionWindow(-1), "gapMs must be a positive integer of milliseconds, is -1"],
  ])("%s", (_, make, found) => {
    expect(make).toThrow(expect.objectContaining({ code: "WINDOW_OPTION", message: expect.stringContaining(found) }))
  })
})
