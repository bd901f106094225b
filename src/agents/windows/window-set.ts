import type { TraceContext } from "../../bus/event.js"
import { type EventPlace, LINKS_MAX, type WindowPort } from "./host.js"

/** One window of events, closed: what a window operator emits. */
export interface EventWindow<T> {
  /** Start of the window in event time, milliseconds since the epoch; inclusive. */
  readonly start: number
  /** End of the window in event time, milliseconds since the epoch; exclusive. */
  readonly end: number
  /** In the order in which they were stored. */
  readonly events: readonly T[]
}

/** Says which windows an event belongs to. */
export interface Assigner {
  /** The windows of an event at `timeMs`. */
  assign(timeMs: number): readonly { readonly start: number; readonly end: number }[]
  /** Whether windows that touch become one (sessions). */
  readonly merges: boolean
}

interface Open<T> {
  start: number
  end: number
  firstSeq: number
  events: { readonly seq: number; readonly value: T }[]
  traces: TraceContext[]
}

/** The open windows of one key: assigns events, and closes windows when event time has passed them. */
export class WindowSet<T> {
  #open: Open<T>[] = []
  #watermark = Number.NEGATIVE_INFINITY
  #through: number

  constructor(
    private readonly assigner: Assigner,
    private readonly port: WindowPort,
    private readonly emit: (window: EventWindow<T>) => void,
  ) {
    this.#through = port.closedThrough
  }

  firstSeq(): number | undefined {
    let first: number | undefined
    for (const { firstSeq } of this.#open) if (first === undefined || firstSeq < first) first = firstSeq
    return first
  }

  /** Takes an event in, then closes what event time has passed. */
  add(value: T, { timeMs, seq, trace }: EventPlace): void {
    const windows = this.assigner.assign(timeMs).filter(({ end }) => end > this.#through)
    if (windows.length === 0) this.port.late()
    const traces = trace === undefined ? [] : [trace]
    for (const { start, end } of windows) {
      this.#join({ start, end, firstSeq: seq, events: [{ seq, value }], traces: [...traces] })
    }
    this.port.held(windows.length)
    if (timeMs <= this.#watermark) return
    this.#watermark = timeMs
    this.#close(timeMs - this.port.latenessMs)
  }

  /** Closes everything, whatever the event time. */
  closeAll(): void {
    this.#close(Number.POSITIVE_INFINITY)
  }

  #join(fresh: Open<T>): void {
    const { merges } = this.assigner
    const fits = (window: Open<T>): boolean =>
      merges ? window.start < fresh.end && fresh.start < window.end : window.start === fresh.start
    const touching = this.#open.filter(fits)
    const target = touching[0]
    if (target === undefined) {
      this.#open.push(fresh)
      return
    }
    for (const other of [...touching.slice(1), fresh]) {
      target.start = Math.min(target.start, other.start)
      target.end = Math.max(target.end, other.end)
      target.firstSeq = Math.min(target.firstSeq, other.firstSeq)
      target.events.push(...other.events)
      if (target.traces.length < LINKS_MAX)
        target.traces.push(...other.traces.slice(0, LINKS_MAX - target.traces.length))
    }
    if (touching.length < 2) return
    target.events.sort((a, b) => a.seq - b.seq)
    this.#open = this.#open.filter((window) => window === target || !touching.includes(window))
  }

  #close(through: number): void {
    const closing = this.#open.filter(({ end }) => end <= through).sort((a, b) => a.end - b.end || a.start - b.start)
    for (const window of closing) {
      this.#open.splice(this.#open.indexOf(window), 1)
      // no further than this window: if the next one breaks, or the node dies between them, its events are not late
      this.#through = Math.max(this.#through, window.end)
      const { start, end, events, traces } = window
      this.port.held(-events.length)
      this.port.close({ start, end, through: this.#through, size: events.length, traces }, () =>
        this.emit({ start, end, events: events.map(({ value }) => value) }),
      )
    }
    if (Number.isFinite(through)) this.#through = Math.max(this.#through, through)
  }
}
