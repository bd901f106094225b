import { Observable } from "rxjs"
import { MurmurError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import { decode } from "./decode.js"
import type { MurmurEvent } from "./event.js"
import type { Link } from "./link.js"
import { readStream, type StreamPosition } from "./reader.js"
import { streamInfo } from "./streams.js"
import type { MeshNames } from "./subjects.js"

/** Where an observation begins. */
export type ObserveFrom = "now" | "start" | Date | number

export interface ObserveOptions {
  /** `now` (default), `start`, a time, or a sequence of the EVENTS stream. */
  readonly from?: ObserveFrom
  /** Only events of this key. */
  readonly key?: string
  /** Only events of this producer. */
  readonly producer?: string
  /** Ends the observation. */
  readonly signal?: AbortSignal
}

/**
 * Events of the mesh, history first and then live, without a gap or a repeat at the seam. It is an RxJS `Observable`
 * and an async iterable; each subscription or iteration is a reading of its own.
 *
 * The iterator has backpressure to the server: the next batch is asked for when the last was taken. An Observable
 * cannot wait; a subscriber that defers its work buffers it itself.
 */
export class EventStream extends Observable<MurmurEvent> implements AsyncIterable<MurmurEvent> {
  /** Fulfilled when the starting point is fixed: what is published from then on will be seen. Rejects when the mesh is not there. */
  readonly ready: Promise<void>
  readonly #filter: string
  readonly #position: Promise<StreamPosition>

  /** @throws MurmurError `FILTER`, `NAME_INVALID`, `OBSERVE_OPTION` */
  constructor(
    private readonly link: Link,
    private readonly names: MeshNames,
    pattern: string,
    private readonly options: ObserveOptions,
    private readonly log: Log,
  ) {
    super((subscriber) => {
      const stopping = new AbortController()
      const stop = (): void => stopping.abort()
      const run = async (): Promise<void> => {
        try {
          for await (const event of this.#read(stopping.signal)) subscriber.next(event)
          subscriber.complete()
        } catch (error) {
          subscriber.error(error)
        } finally {
          options.signal?.removeEventListener("abort", stop)
        }
      }
      // not AbortSignal.any: a signal that lives long would keep each of its dependants
      options.signal?.addEventListener("abort", stop, { once: true })
      if (options.signal?.aborted === true) stop()
      void run()
      return stop
    })
    checkFrom(options.from)
    this.#filter = names.storedFilter(pattern, options)
    this.#position = this.#start(options.from ?? "now")
    this.ready = this.#position.then(() => {})
    this.ready.catch(() => {}) // the reading throws the same error to whoever reads
  }

  [Symbol.asyncIterator](): AsyncGenerator<MurmurEvent> {
    return this.#read()
  }

  async *#read(signal = this.options.signal): AsyncGenerator<MurmurEvent> {
    const from = await this.#position
    const read = { stream: this.names.events, filter: this.#filter, from, signal }
    for await (const message of readStream(this.link, read)) {
      const decoded = decode(this.names, message)
      if (decoded.ok) yield decoded.event
      else this.log.warn({ seq: message.seq, code: decoded.code, reason: decoded.message }, "skipped what is no event")
    }
  }

  async #start(from: ObserveFrom): Promise<StreamPosition> {
    const info = await streamInfo(this.link.manager, this.names.events)
    if (info === undefined) {
      throw new MurmurError(
        `Cannot observe mesh "${this.names.mesh}": it has no stream ${this.names.events}. Is it running ("murmur up"), and is the mesh's name right?`,
        { code: "MESH_NOT_FOUND" },
      )
    }
    if (from === "start") return { seq: 1 }
    if (from === "now") return { seq: info.state.last_seq + 1 }
    return from instanceof Date ? { time: from } : { seq: from }
  }
}

function checkFrom(from: ObserveFrom | undefined): void {
  if (from === undefined || from === "now" || from === "start") return
  if (from instanceof Date ? !Number.isNaN(from.getTime()) : Number.isSafeInteger(from) && from >= 0) return
  throw new MurmurError(
    `Cannot observe events: "from" must be "now", "start", a valid Date or a sequence, is ${String(from)}`,
    { code: "OBSERVE_OPTION" },
  )
}
