import { Subject, type Subscription } from "rxjs"
import { type SealedEvent, seal } from "../bus/encode.js"
import type { EventDraft, MurmurEvent } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"
import { ensureError, MurmurError } from "../errors.js"
import type { Log, Span } from "../telemetry/ports.js"
import type { EmitGate } from "./context.js"
import type { AgentDefinition } from "./define-agent.js"
import type { OpenWindowSpan } from "./react-tracing.js"
import type { WindowClose } from "./windows/checkpoint.js"
import {
  type ClosingWindow,
  type EventPlace,
  type OpenWindows,
  type WindowHost,
  type WindowPort,
  withWindowHost,
} from "./windows/host.js"

/** What a session reports to the partition that it lives in. */
export interface SessionSink {
  /** A window closed; its outputs are published when the close is committed. */
  closed(close: WindowClose): void
  /** Something came out of the pipeline later, on its own time (a debounce, a timer). */
  deferred(output: SealedEvent): void
  late(): void
  held(copies: number): void
  closedThrough(key: string | undefined, operator: number): number
  /** Events before this one are fed only to warm what is no window: they are in no window that is still open. */
  readonly rebuildFrom: number
  /** `undefined` when nobody traces. */
  readonly windowSpan: OpenWindowSpan | undefined
  /** How large the outputs of one window may be, all together, in bytes: they are committed in one record. */
  readonly bytesMax: number
}

/** How the pipeline broke: over an event, or over a window that it could not digest. */
export interface Breakdown {
  readonly error: Error
  /** The window that was closing, if one was. */
  readonly window: { readonly operator: number; readonly through: number; readonly span: ClosingWindow } | undefined
}

interface Operator {
  readonly windows: OpenWindows
}

/** What comes out of the pipeline at this moment belongs to: an event in delivery, a closing window, or nothing. */
type Scope =
  | { readonly kind: "event"; readonly event: MurmurEvent; readonly outputs: SealedEvent[] }
  | WindowScope
  | { readonly kind: "none" }

interface WindowScope {
  readonly kind: "window"
  readonly id: string
  readonly window: ClosingWindow
  readonly cause: MurmurEvent
  readonly outputs: SealedEvent[]
  /** Opened by its first output: of a window that says nothing there is nothing to see. */
  span?: Span | undefined
}

/** The pipeline of one key of a `react` agent, and its open windows. */
export class ReactSession implements WindowHost {
  /** When an event last came, by this node's clock. */
  lastArrival = Date.now()
  /** It is fed with what it had before: what comes out late or on its own time came out then, and is not told again. */
  replaying = false
  readonly #events = new Subject<MurmurEvent>()
  readonly #operators: Operator[] = []
  readonly #subscription: Subscription | undefined
  #scope: Scope = { kind: "none" }
  #current: (EventPlace & { readonly event: MurmurEvent }) | undefined
  #deferred = 0
  #held = 0
  #breakdown: Breakdown | undefined
  #brokeLater = false
  #closing: Breakdown["window"]

  constructor(
    readonly key: string | undefined,
    private readonly agent: AgentDefinition & { behaviour: { kind: "react" } },
    private readonly mesh: string,
    private readonly gate: EmitGate,
    private readonly sink: SessionSink,
    log: Log,
  ) {
    const context = { agent: agent.name, key, log }
    try {
      this.#subscription = withWindowHost(this, () =>
        agent.behaviour.react(this.#events.asObservable(), context).subscribe({
          next: (draft) => this.#out(draft),
          error: (thrown) => this.#break(thrown),
        }),
      )
    } catch (thrown) {
      this.#break(thrown)
    }
  }

  /** How the pipeline broke, if it did. A broken session is thrown away and rebuilt. */
  get breakdown(): Breakdown | undefined {
    return this.#breakdown
  }

  /** Whether it broke between two events, on its own time: none of them is to blame. */
  get brokeLater(): boolean {
    return this.#breakdown !== undefined && this.#brokeLater
  }

  /** Sequence of the oldest event in an open window. */
  get firstSeq(): number | undefined {
    let first: number | undefined
    for (const { windows } of this.#operators) {
      const seq = windows.firstSeq()
      if (seq !== undefined && (first === undefined || seq < first)) first = seq
    }
    return first
  }

  /** Puts an event through the pipeline. @returns what came out for the event itself, not for a window */
  deliver(event: MurmurEvent): SealedEvent[] {
    const outputs: SealedEvent[] = []
    this.lastArrival = Date.now()
    const trace = this.sink.windowSpan === undefined ? undefined : event.trace
    this.#current = { timeMs: Date.parse(event.time), seq: event.seq, trace, event }
    this.#deferred = 0
    this.#scope = { kind: "event", event, outputs }
    try {
      this.#events.next(event)
    } finally {
      this.#scope = { kind: "none" }
    }
    return outputs
  }

  /** Closes all windows: the key has been quiet. */
  closeAll(): void {
    for (const { windows } of this.#operators) windows.closeAll()
  }

  /** The newest event that was delivered. */
  get newest(): MurmurEvent | undefined {
    return this.#current?.event
  }

  dispose(): void {
    this.#subscription?.unsubscribe()
    this.#hold(-this.#held)
  }

  #hold(copies: number): void {
    this.#held += copies
    this.sink.held(copies)
  }

  register(windows: OpenWindows): WindowPort {
    const operator = this.#operators.length
    this.#operators.push({ windows })
    return {
      current: () => this.#current ?? { timeMs: Number.NaN, seq: 0 },
      closedThrough: this.sink.closedThrough(this.key, operator),
      firstSeq: this.sink.rebuildFrom,
      latenessMs: this.agent.window.latenessMs,
      close: (window, emit) => this.#closeWindow(operator, window, emit),
      held: (copies) => this.#hold(copies),
      late: () => {
        if (!this.replaying) this.sink.late()
      },
    }
  }

  #closeWindow(operator: number, window: ClosingWindow, emit: () => void): void {
    const cause = this.#current?.event
    if (cause === undefined || this.#breakdown !== undefined) return
    const outer = this.#scope
    const outputs: SealedEvent[] = []
    const scope: WindowScope = {
      kind: "window",
      id: `${operator}:${window.start}:${window.end}`,
      ...{ window, cause, outputs },
    }
    this.#scope = scope
    this.#closing = { operator, through: window.through, span: window }
    try {
      emit()
      this.#checkSize(outputs)
    } finally {
      this.#scope = outer
      this.#closing = undefined
      this.#end(scope.span)
    }
    if (this.#breakdown !== undefined) return
    this.sink.closed({ key: this.key ?? null, operator, through: window.through, outputs })
  }

  #end(span: Span | undefined): void {
    if (this.#breakdown !== undefined) span?.fail(this.#breakdown.error)
    span?.end()
  }

  #checkSize(outputs: readonly SealedEvent[]): void {
    if (outputs.length === 0 || this.#breakdown !== undefined) return
    const bytes = Buffer.byteLength(JSON.stringify(outputs))
    if (bytes <= this.sink.bytesMax) return
    const { length } = outputs
    this.#break(
      new MurmurError(
        `The outputs of one window of "${this.agent.name}" have ${bytes} bytes (${length} events), at most ${this.sink.bytesMax} can be committed at once. Emit less, or a reference`,
        { code: "EVENT_TOO_LARGE", details: { bytes, bytesMax: this.sink.bytesMax } },
      ),
    )
  }

  #out(draft: EventDraft): void {
    try {
      const checked = this.gate.check(draft)
      const scope = this.#scope
      if (scope.kind === "event") {
        scope.outputs.push(this.#seal(checked, scope.event, scope.event.id, scope.outputs.length))
      } else if (scope.kind === "window") {
        scope.outputs.push(this.#seal(checked, this.#causeOf(scope), scope.id, scope.outputs.length))
      } else {
        this.#outLater(checked)
      }
    } catch (thrown) {
      this.#break(thrown)
    }
  }

  /** The event that closed the window; what comes out descends from the window's own span. */
  #causeOf(scope: WindowScope): MurmurEvent {
    scope.span ??= this.sink.windowSpan?.(scope.window, scope.cause)
    return scope.span === undefined ? scope.cause : { ...scope.cause, trace: scope.span.context }
  }

  #outLater(draft: EventDraft): void {
    const cause = this.#current?.event
    if (cause === undefined) {
      throw new MurmurError(`"${this.agent.name}" emitted before it was given an event`, { code: "EMIT_EARLY" })
    }
    const output = this.#seal(draft, cause, `${cause.id}:later`, this.#deferred++)
    if (!this.replaying) this.sink.deferred(output)
  }

  #seal(draft: EventDraft, cause: MurmurEvent, origin: string, position: number): SealedEvent {
    const id = derivedId(this.agent.name, this.key ?? "", origin, position)
    return seal({ ...draft, id }, { mesh: this.mesh, producer: this.agent.name, cause, trace: cause.trace })
  }

  #break(thrown: unknown): void {
    if (this.#breakdown !== undefined) return
    this.#breakdown = { error: ensureError(thrown), window: this.#closing }
    this.#brokeLater = this.#scope.kind === "none" && this.#current !== undefined
  }
}
