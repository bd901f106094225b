import type { SealedEvent } from "../bus/encode.js"
import type { MurmurEvent } from "../bus/event.js"
import { silentLog } from "../telemetry/ports.js"
import type { EmitGate } from "./context.js"
import type { AgentDefinition } from "./define-agent.js"
import { ReactSession } from "./react-session.js"
import type { WindowClose } from "./windows/checkpoint.js"

/** What a test is told of pipelines. */
export interface PipelineSink {
  emitted(outputs: readonly SealedEvent[]): void
  /** An event was given up: it broke the pipeline, or closed a window that did. */
  dead(event: MurmurEvent, error: Error): void
}

/** The pipelines of a `react` agent in memory, mended as those of the mesh are. */
export class MemoryPipelines {
  readonly #sessions = new Map<string | undefined, ReactSession>()
  /** All events of a key that its pipeline digested. */
  readonly #history = new Map<string | undefined, MurmurEvent[]>()
  readonly #through = new Map<string, number>()

  constructor(
    private readonly agent: AgentDefinition & { behaviour: { kind: "react" } },
    private readonly mesh: string,
    private readonly gate: EmitGate,
    private readonly sink: PipelineSink,
  ) {}

  deliver(event: MurmurEvent): void {
    const session = this.#session(event.key)
    this.#past(event.key).push(event)
    const outputs = session.deliver(event)
    if (session.breakdown === undefined) this.sink.emitted(outputs)
    else this.#mend(session, event)
  }

  /** Closes all windows: everything is quiet. */
  quiet(): void {
    for (const session of [...this.#sessions.values()]) {
      session.closeAll()
      if (session.breakdown !== undefined && session.newest !== undefined) this.#mend(session, session.newest)
    }
  }

  #mend(session: ReactSession, event: MurmurEvent): void {
    let broken: { session: ReactSession; event: MurmurEvent } | undefined = { session, event }
    while (broken !== undefined) {
      const { breakdown } = broken.session
      if (breakdown === undefined) return
      this.sink.dead(broken.event, breakdown.error)
      broken.session.dispose()
      this.#sessions.delete(session.key)
      const { window } = breakdown
      if (window !== undefined) this.#close(session.key, window.operator, window.through)
      else
        this.#history.set(
          session.key,
          this.#past(session.key).filter(({ seq }) => seq !== broken?.event.seq),
        )
      broken = this.#rebuild(session.key)
    }
  }

  #rebuild(key: string | undefined): { session: ReactSession; event: MurmurEvent } | undefined {
    const session = this.#session(key)
    session.replaying = true
    for (const event of this.#past(key)) {
      session.deliver(event)
      if (session.breakdown !== undefined) return { session, event }
    }
    session.replaying = false
    return undefined
  }

  #past(key: string | undefined): MurmurEvent[] {
    const known = this.#history.get(key)
    if (known !== undefined) return known
    const fresh: MurmurEvent[] = []
    this.#history.set(key, fresh)
    return fresh
  }

  #close(key: string | undefined, operator: number, through: number): void {
    this.#through.set(`${operator}:${key ?? "\u0000"}`, through)
  }

  #session(key: string | undefined): ReactSession {
    const known = this.#sessions.get(key)
    if (known !== undefined) return known
    const sink = {
      closed: (close: WindowClose) => {
        this.#close(key, close.operator, close.through)
        this.sink.emitted(close.outputs)
      },
      deferred: (output: SealedEvent) => this.sink.emitted([output]),
      late: () => {},
      held: () => {},
      closedThrough: (_: string | undefined, operator: number) =>
        this.#through.get(`${operator}:${key ?? "\u0000"}`) ?? Number.NEGATIVE_INFINITY,
      windowSpan: undefined,
      bytesMax: Number.POSITIVE_INFINITY,
      rebuildFrom: 0,
    }
    const session = new ReactSession(key, this.agent, this.mesh, this.gate, sink, silentLog)
    this.#sessions.set(key, session)
    return session
  }
}
