import { Observable, type OperatorFunction } from "rxjs"
import { MurmurError } from "../../errors.js"
import { type EventPlace, windowHost } from "./host.js"
import { type Assigner, type EventWindow, WindowSet } from "./window-set.js"

/** An event is held once for each window that it is in. */
const COPIES_MAX = 1_000

/**
 * Windows of fixed length, side by side, aligned to the epoch: each event is in one.
 *
 * In a `react` agent windows are durable: they work in event time, a crash rebuilds them from history, and each is
 * published once. A window closes when an event of its key is past its end (and the agent's `latenessMs`), or when its
 * key has been quiet for `idleTimeoutMs`.
 *
 * @param ms length in milliseconds, a positive integer
 * @throws MurmurError `WINDOW_OPTION`
 * @example
 * react: (ticks$) => ticks$.pipe(tumbling(5_000), map(({ events }) => Average({ mean: mean(events) })))
 */
export function tumbling<T>(ms: number): OperatorFunction<T, EventWindow<T>> {
  check("tumbling", "ms", ms)
  return windows({
    merges: false,
    assign: (timeMs) => {
      const start = Math.floor(timeMs / ms) * ms
      return [{ start, end: start + ms }]
    },
  })
}

/**
 * Windows of fixed length that overlap: a new one begins each `stepMs`, so an event is in `ms / stepMs` of them, and each
 * of these copies counts as an open event.
 *
 * @param ms length in milliseconds
 * @param stepMs distance between two beginnings; at most `ms`, which must be a multiple of it, at most a thousandfold
 * @throws MurmurError `WINDOW_OPTION`
 */
export function sliding<T>(ms: number, stepMs: number): OperatorFunction<T, EventWindow<T>> {
  check("sliding", "ms", ms)
  check("sliding", "stepMs", stepMs)
  if (ms % stepMs !== 0) fail("sliding", `ms must be a multiple of stepMs, is ${ms} with stepMs ${stepMs}`)
  if (ms / stepMs > COPIES_MAX) {
    fail(
      "sliding",
      `an event may be in at most ${COPIES_MAX} windows, with ms ${ms} and stepMs ${stepMs} it is in ${ms / stepMs}`,
    )
  }
  return windows({
    merges: false,
    assign: (timeMs) => {
      const newest = Math.floor(timeMs / stepMs) * stepMs
      return Array.from({ length: ms / stepMs }, (_, i) => newest - i * stepMs)
        .reverse()
        .map((start) => ({ start, end: start + ms }))
    },
  })
}

/**
 * Windows without a fixed length: events of a key belong together until there is a gap of `gapMs` between two of them.
 *
 * @param gapMs in milliseconds
 * @throws MurmurError `WINDOW_OPTION`
 */
export function sessionWindow<T>(gapMs: number): OperatorFunction<T, EventWindow<T>> {
  check("sessionWindow", "gapMs", gapMs)
  return windows({ merges: true, assign: (timeMs) => [{ start: timeMs, end: timeMs + gapMs }] })
}

function windows<T>(assigner: Assigner): OperatorFunction<T, EventWindow<T>> {
  return (source) =>
    new Observable((subscriber) => {
      const open: { set?: WindowSet<T> } = {}
      const port = windowHost().register({
        firstSeq: () => open.set?.firstSeq(),
        closeAll: () => open.set?.closeAll(),
      })
      const set = new WindowSet<T>(assigner, port, (window) => subscriber.next(window))
      open.set = set
      return source.subscribe({
        next: (value) => {
          try {
            const place = placeOf(port.current(), value)
            if (place.seq >= port.firstSeq) set.add(value, place)
          } catch (error) {
            subscriber.error(error) // thrown from here it would be nobody's, and end the process
          }
        },
        error: (error) => subscriber.error(error),
        complete: () => {
          set.closeAll()
          subscriber.complete()
        },
      })
    })
}

/** Where a value stands: by itself when it is an event, else by the event that led to it. */
function placeOf(current: EventPlace, value: unknown): EventPlace {
  if (!Number.isNaN(current.timeMs)) return current
  const { time, seq } = (value ?? {}) as { time?: unknown; seq?: unknown }
  const timeMs = typeof time === "string" ? Date.parse(time) : Number.NaN
  if (Number.isNaN(timeMs)) {
    throw new MurmurError("Cannot put a value into a window: outside of an agent it must be an event, with a time", {
      code: "WINDOW_TIME",
    })
  }
  return { timeMs, seq: typeof seq === "number" ? seq : 0 }
}

function check(operator: string, option: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    fail(operator, `${option} must be a positive integer of milliseconds, is ${value}`)
  }
}

function fail(operator: string, why: string): never {
  throw new MurmurError(`Cannot make ${operator}(): ${why}`, { code: "WINDOW_OPTION" })
}
