import type { TraceContext } from "../../bus/event.js"

/** What a window operator tells its host about the windows that it holds open for one key. */
export interface OpenWindows {
  /** Sequence of the oldest event in an open window; `undefined` when none is open. */
  firstSeq(): number | undefined
  /** Closes everything now: nothing came for a while, or the stream ended. */
  closeAll(): void
}

/** Where an event stands: its time, its sequence, the span that handles it. */
export interface EventPlace {
  readonly timeMs: number
  readonly seq: number
  readonly trace?: TraceContext | undefined
}

/** One window that closes. */
export interface ClosingWindow {
  /** Event time, milliseconds. */
  readonly start: number
  readonly end: number
  /** Windows that end at or before this are closed for good, this one included: later events for them are late. */
  readonly through: number
  readonly size: number
  /** The spans of the events in it, the first {@link LINKS_MAX}. */
  readonly traces: readonly TraceContext[]
}

/** To so many events a window is linked. */
export const LINKS_MAX = 128

/** What a window operator of one key gets from its host. */
export interface WindowPort {
  /** Event time and sequence of the event that is being delivered. */
  current(): EventPlace
  /** How far windows were closed before this operator was made, in event time: after a crash, by the last commits. */
  readonly closedThrough: number
  /** Events before this sequence are not put into windows: theirs are closed. */
  readonly firstSeq: number
  /** How far an event may be behind the newest of its key. */
  readonly latenessMs: number
  /** Runs `emit`; what comes out of the pipeline meanwhile belongs to this window. */
  close(window: ClosingWindow, emit: () => void): void
  /** An event joined open windows: how many copies more are held. */
  held(copies: number): void
  /** An event came too late for its window. */
  late(): void
}

/** Keeps the windows of one key durable. */
export interface WindowHost {
  /** Called once by each window operator of a pipeline, in the order of the pipeline. */
  register(windows: OpenWindows): WindowPort
}

let active: WindowHost | undefined

/**
 * Makes `host` the one that window operators find while `subscribe` runs. An RxJS operator is given nothing but its
 * source, so this is how it meets its runtime; it is set during the synchronous subscription only.
 */
export function withWindowHost<T>(host: WindowHost, subscribe: () => T): T {
  const outer = active
  active = host
  try {
    return subscribe()
  } finally {
    active = outer
  }
}

/** The host of the subscription that is being made, or one that keeps nothing: for pipelines used outside of an agent. */
export function windowHost(): WindowHost {
  return active ?? { register: () => loosePort() }
}

/** Without a runtime an event brings its own time, and nothing is kept. */
function loosePort(): WindowPort {
  return {
    current: () => ({ timeMs: Number.NaN, seq: 0 }),
    closedThrough: Number.NEGATIVE_INFINITY,
    firstSeq: Number.NEGATIVE_INFINITY,
    latenessMs: 0,
    close: (_window, emit) => emit(),
    held: () => {},
    late: () => {},
  }
}
