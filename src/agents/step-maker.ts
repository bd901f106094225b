import { type SealedEvent, seal } from "../bus/encode.js"
import type { MurmurEvent, TraceContext } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"
import type { Log, Span } from "../telemetry/ports.js"
import { EmitGate, type StepContext } from "./context.js"
import type { AgentDefinition } from "./define-agent.js"
import { Effects } from "./effects.js"
import type { Session } from "./sessions/session.js"
import { Step } from "./step-context.js"
import { journalOf } from "./step-notes.js"
import type { Run, StepPorts } from "./step-ports.js"
import { ToolCalls } from "./tools/tool-calls.js"

/** Makes what an attempt consists of: its span, the handler's context, the outputs with their ids. */
export class StepMaker {
  readonly #gate: EmitGate
  readonly #handle: (event: MurmurEvent, ctx: StepContext) => Promise<void> | void
  readonly #spanName: string

  constructor(
    private readonly agent: AgentDefinition & { behaviour: { kind: "handle" } },
    private readonly ports: StepPorts,
    private readonly log: Log,
  ) {
    this.#gate = new EmitGate(agent.name, agent.emits)
    this.#handle = agent.behaviour.handle
    this.#spanName = `process ${agent.name}`
  }

  span(event: MurmurEvent, attempt: number): Span {
    const attributes = this.#attributes(event, attempt)
    return this.ports.telemetry.tracing.start(this.#spanName, { kind: "consumer", parent: event.trace, attributes })
  }

  step(run: Run, session?: Session): Step {
    const { input, attempt, span, stopping } = run
    const { event, storedAtMs, careful } = input
    const { agent, ports } = this
    const trace = span === undefined ? event.trace : span.context
    return new Step({
      ...{ event, storedAtMs, attempt, stopping, definition: agent, log: this.log, clock: ports.clock },
      previousAttempt: input.previousAttempt,
      seal: (draft, position) => this.#output(this.#gate.check(draft), event, position, trace),
      makeEffects: (onSuspended) =>
        new Effects(
          { agent: agent.name, event, storedAtMs, careful, state: agent.state, session, onSuspended },
          { ...ports, openJournal: () => journalOf(run, ports) },
        ),
      makeTools: (step, effects) =>
        new ToolCalls({ agent: agent.name, event, careful, trace, signal: () => step.signal }, effects, ports),
    })
  }

  /** Calls the handler. @returns a promise only where the handler does */
  begin(step: Step, { input: { event }, span }: Run): Promise<void> | undefined {
    let running: Promise<void> | undefined
    try {
      running =
        (span === undefined ? this.#handle(event, step) : span.run(() => this.#handle(event, step))) ?? undefined
    } finally {
      if (running === undefined) step.end()
    }
    return running
  }

  #output(
    draft: Parameters<typeof seal>[0],
    cause: MurmurEvent,
    position: number,
    trace: TraceContext | undefined,
  ): SealedEvent {
    const id = derivedId(this.agent.name, cause.key ?? "", cause.id, position)
    return seal(draft, { mesh: this.ports.names.mesh, producer: this.agent.name, cause, trace }, id)
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
