import type { EventDraft } from "../../bus/event.js"
import type { Log } from "../../telemetry/ports.js"
import type { AskOptions } from "../ask.js"
import type { StepContext } from "../context.js"
import type { Call } from "./wire.js"

/** A step's context as its run in a worker uses it. */
export interface HostContext {
  readonly agent: string
  readonly signal: AbortSignal
  readonly log: Log
  record(name: string, data: unknown): void
  emit(draft: EventDraft): void
  /**
   * Makes a call of the handler.
   *
   * @param work does in the worker what only the worker can
   */
  call(what: Call, work: (input?: unknown) => Promise<unknown>): Promise<unknown>
  /** Keeps the step from being suspended until the returned function is called: the handler may be about to go on. */
  hold(): () => void
}

/** A context as the node's own runtime gives it. */
export interface HoldableContext extends StepContext {
  /** Keeps the step from being suspended until the returned function is called. */
  hold(): () => void
  /** The step's time begins when the returned function is called. */
  untimed(): () => void
}

export function hostContext(ctx: HoldableContext): HostContext {
  return {
    agent: ctx.agent,
    signal: ctx.signal,
    log: ctx.log,
    record: (name, data) => ctx.record(name, data),
    emit: (draft) => ctx.emit(draft),
    hold: () => ctx.hold(),
    call: (what, work) => {
      switch (what.method) {
        case "run":
          return ctx.run(what.name, () => work())
        case "sleep":
          return ctx.sleep(what.ms)
        case "ask":
          return ctx.ask(what.question, what.options as AskOptions)
      }
    },
  }
}
