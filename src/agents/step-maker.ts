import { type SealedEvent, seal } from "../bus/encode.js"
import type { EventDraft, MurmurEvent } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"
import type { Log, Span } from "../telemetry/ports.js"
import type { Clock } from "./clock.js"
import { EmitGate, type StepContext } from "./context.js"
import type { AgentDefinition } from "./define-agent.js"
import { Delegation } from "./delegation/delegation.js"
import { isTaskOf, refuseExpired } from "./delegation/duty.js"
import { heardFrom } from "./delegation/outside.js"
import { Effects } from "./effects.js"
import type { Journal } from "./journal/journal.js"
import { conversationOf } from "./minds/history/compose.js"
import type { Session } from "./sessions/session.js"
import { type SealAs, Step, type StepParts } from "./step-context.js"
import { journalOf } from "./step-notes.js"
import type { Run, StepInput, StepPorts } from "./step-ports.js"
import { ToolCalls, type ToolScope } from "./tools/tool-calls.js"

/** Makes what an attempt consists of: its span, the handler's context, the outputs with their ids. */
export class StepMaker implements StepParts {
  readonly #gate: EmitGate
  readonly #handle: (event: MurmurEvent, ctx: StepContext) => Promise<void> | void
  readonly #spanName: string

  constructor(
    readonly agent: AgentDefinition & { behaviour: { kind: "handle" } },
    readonly ports: StepPorts,
    readonly log: Log,
  ) {
    this.#gate = new EmitGate(agent.name, agent.emits)
    this.#handle = agent.behaviour.handle
    this.#spanName = `process ${agent.name}`
  }

  span({ event, links = [] }: StepInput, attempt: number): Span {
    const how = { kind: "consumer", parent: event.trace, attributes: this.#attributes(event, attempt), links } as const
    return this.ports.telemetry.tracing.start(this.#spanName, how)
  }

  get clock(): Clock {
    return this.ports.clock
  }

  step(run: Run, session?: Session): Step {
    return new Step(this, run, session)
  }

  checkDraft(draft: EventDraft): void {
    this.#gate.check(draft)
  }

  seal(run: Run, draft: EventDraft, { position, tainted }: SealAs & { readonly position: number }): SealedEvent {
    const { id, key = "" } = run.input.event
    const checked = this.#gate.check(draft)
    return this.sealFreely(run, checked, { tainted, id: derivedId(this.agent.name, key, id, position) })
  }

  sealFreely({ input, span }: Run, draft: EventDraft, { tainted, id }: SealAs & { readonly id?: string }): SealedEvent {
    const { event: cause } = input
    const { agent, ports } = this
    const trace = span === undefined ? cause.trace : span.context
    const trust = tainted ? ("external" as const) : undefined
    return seal(draft, { mesh: ports.names.mesh, producer: agent.name, cause, trace, trust }, id)
  }

  effects(run: Run, session: Session | undefined, onSuspended: () => void): Effects {
    const { event, storedAtMs, careful } = run.input
    const { agent, ports } = this
    const openJournal = (): Promise<Journal> => journalOf(run, ports)
    return new Effects(
      { agent: agent.name, event, storedAtMs, careful, state: agent.state, session, openJournal, onSuspended },
      ports,
    )
  }

  tools({ input, span, attempt }: Run, step: Step, effects: Effects): ToolCalls {
    const { event, careful, storedAtMs } = input
    const { agent, log } = this
    const fromOutside = this.agent.history !== undefined && conversationOf(effects.state).outside === true
    const scope: ToolScope = {
      ...{ agent: agent.name, event, careful, signal: () => step.signal, fromOutside, attempt, storedAtMs, log },
      get trace() {
        if (input.teller !== undefined) return input.teller.trace // once a model is asked, calls belong to its run
        return span === undefined ? event.trace : span.context
      },
    }
    return new ToolCalls(scope, effects, this.ports)
  }

  delegation(run: Run, step: Step, effects: Effects): Delegation {
    const { agent, ports } = this
    const tainted = (): boolean => step.core.tainted
    const onOutside = (other: string): void => step.core.toolCalls.note(heardFrom(other))
    return new Delegation({ agent, run, effects, ports, tainted, onOutside, send: (draft) => step.send(draft) })
  }

  /** Calls the handler. @returns a promise only where the handler does */
  begin(step: Step, run: Run): Promise<void> | undefined {
    const { span } = run
    let running: Promise<void> | undefined
    try {
      running = (span === undefined ? this.#handled(step, run) : span.run(() => this.#handled(step, run))) ?? undefined
    } finally {
      if (running === undefined) step.end()
    }
    return running
  }

  /** A task is answered also when its handler did not. */
  #handled(step: Step, { input, attempt }: Run): Promise<void> | void {
    const { event, sentBack, journal } = input
    if (!isTaskOf(this.agent.name, event)) return this.#handle(event, step)
    const isNew = attempt === 1 && journal === undefined && !sentBack
    if (isNew) refuseExpired(this.agent.name, event, this.clock.now())
    const handled = this.#handle(event, step)
    if (handled === undefined) return step.settleTask()
    return handled.then(() => step.settleTask())
  }

  #attributes(event: MurmurEvent, attempt: number): Record<string, string | number | undefined> {
    return {
      "messaging.system": "nats",
      "messaging.operation.type": "process",
      "messaging.message.id": event.id,
      "messaging.message.conversation_id": event.correlationid,
      "murmur.agent": this.agent.name,
      "murmur.event.type": event.type,
      "murmur.event.key": event.key,
      "murmur.hops": event.hops,
      "murmur.attempt": attempt,
    }
  }
}
