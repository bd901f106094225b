import { type SealedEvent, seal } from "../bus/encode.js"
import type { EventDraft, MurmurEvent, TraceContext } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"
import { ensureError, errorCode, RetryableError } from "../errors.js"
import type { Attributes, Log, Span, Telemetry } from "../telemetry/ports.js"
import { EmitGate, type StepContext } from "./context.js"
import type { Attempt } from "./dead-letters.js"
import type { AgentDefinition } from "./define-agent.js"
import { type AgentStats, agentLog } from "./host.js"

/** The part of a node that a step needs. */
export interface StepPorts {
  readonly telemetry: Telemetry
  readonly bus: {
    readonly names: { readonly mesh: string }
    readonly publisher: { store(event: SealedEvent): Promise<unknown> }
  }
}

/** How one attempt ended. */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly error: Error; readonly attempt: Attempt }

const OK: Outcome = { ok: true }

/**
 * Runs single attempts of a handler agent's steps: handler, then outputs. An attempt that resolves has its outputs
 * stored; it never rejects.
 */
export class StepRunner {
  readonly #gate: EmitGate
  readonly #handle: (event: MurmurEvent, ctx: StepContext) => Promise<void> | void
  readonly #spanName: string
  readonly #log: Log
  /** Made once: a step has no time to make labels. */
  readonly #labels: { readonly ok: Attributes; readonly error: Attributes }

  constructor(
    private readonly agent: AgentDefinition & { behaviour: { kind: "handle" } },
    private readonly ports: StepPorts,
    private readonly stats: AgentStats,
  ) {
    this.#gate = new EmitGate(agent.name, agent.emits)
    this.#handle = agent.behaviour.handle
    this.#spanName = `process ${agent.name}`
    this.#log = agentLog(ports.telemetry.log, agent.name)
    this.#labels = { ok: { agent: agent.name, outcome: "ok" }, error: { agent: agent.name, outcome: "error" } }
  }

  /** @param stopping aborted when the node cannot wait any longer */
  async attempt(event: MurmurEvent, attempt: number, stopping: AbortSignal): Promise<Outcome> {
    const began = Date.now()
    const { tracing, metrics } = this.ports.telemetry
    const span = tracing.enabled ? this.#span(event, attempt) : undefined
    let outcome: Outcome = OK
    try {
      const made = this.#outputsOf(event, attempt, span, stopping)
      const outputs = made instanceof Promise ? await made : made
      if (outputs.length > 0) await this.#publish(outputs)
    } catch (thrown) {
      const error = ensureError(thrown)
      span?.fail(error)
      const durationMs = Date.now() - began
      const at = new Date(began).toISOString()
      outcome = { ok: false, error, attempt: { at, durationMs, code: errorCode(error), message: error.message } }
    }
    span?.end()
    if (metrics.enabled) {
      const labels = outcome.ok ? this.#labels.ok : this.#labels.error
      metrics.duration("murmur.step.duration", (Date.now() - began) / 1_000, labels)
    }
    return outcome
  }

  #span(event: MurmurEvent, attempt: number): Span {
    const attributes = this.#attributes(event, attempt)
    return this.ports.telemetry.tracing.start(this.#spanName, { kind: "consumer", parent: event.trace, attributes })
  }

  /** What the handler emits. @returns a promise only where the handler does: most steps end where they begin */
  #outputsOf(
    event: MurmurEvent,
    attempt: number,
    span: Span | undefined,
    stopping: AbortSignal,
  ): readonly SealedEvent[] | Promise<readonly SealedEvent[]> {
    const step = new Step(event, attempt, this.agent, this.#log, stopping, (draft, position) =>
      this.#output(this.#gate.check(draft), event, position, span === undefined ? event.trace : span.context),
    )
    let running: Promise<void> | undefined
    try {
      running =
        (span === undefined ? this.#handle(event, step) : span.run(() => this.#handle(event, step))) ?? undefined
    } finally {
      if (running === undefined) step.end()
    }
    return running === undefined ? step.outputs : step.within(running)
  }

  #output(
    draft: Parameters<typeof seal>[0],
    cause: MurmurEvent,
    position: number,
    trace: TraceContext | undefined,
  ): SealedEvent {
    const id = derivedId(this.agent.name, cause.key ?? "", cause.id, position)
    return seal(draft, { mesh: this.ports.bus.names.mesh, producer: this.agent.name, cause, trace }, id)
  }

  /** One connection keeps the order of what is sent, so several outputs need not wait for one another. */
  #publish(outputs: readonly SealedEvent[]): Promise<unknown> {
    this.stats.emitted += outputs.length
    const [first] = outputs
    if (this.ports.telemetry.tracing.enabled) return Promise.all(outputs.map((output) => this.#send(output)))
    const { publisher } = this.ports.bus
    if (outputs.length === 1 && first !== undefined) return publisher.store(first)
    return Promise.all(outputs.map((output) => publisher.store(output)))
  }

  async #send(output: SealedEvent): Promise<void> {
    const { tracing } = this.ports.telemetry
    const span = tracing.start(`send ${output.type}`, {
      kind: "producer",
      parent: output.trace,
      attributes: { "messaging.system": "nats", "messaging.operation.type": "send", "messaging.message.id": output.id },
    })
    try {
      await this.ports.bus.publisher.store({ ...output, trace: span.context })
    } catch (error) {
      span.fail(ensureError(error))
      throw error
    } finally {
      span.end()
    }
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

/** One attempt while it runs: the context that its handler is given, and the time that it has. */
class Step implements StepContext {
  readonly agent: string
  readonly key: string | undefined
  readonly outputs: SealedEvent[] = []
  #open = true
  /** Controller, timer and promise are made only when somebody looks: most steps are over before. */
  #controller: AbortController | undefined
  #timer: NodeJS.Timeout | undefined
  #reject: ((error: Error) => void) | undefined

  constructor(
    event: MurmurEvent,
    readonly attempt: number,
    private readonly definition: AgentDefinition,
    readonly log: Log,
    private readonly stopping: AbortSignal,
    private readonly seal: (draft: EventDraft, position: number) => SealedEvent,
  ) {
    this.agent = definition.name
    this.key = event.key
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  /** A function of its own, so that a handler may take it out of its context. */
  readonly emit = (draft: EventDraft): void => {
    if (!this.#open) {
      throw new RetryableError(`"${this.agent}" emitted after its step had ended`, { code: "EMIT_LATE" })
    }
    this.outputs.push(this.seal(draft, this.outputs.length))
  }

  /** Waits for the handler, as long as its time and the node allow. */
  async within(running: Promise<void>): Promise<readonly SealedEvent[]> {
    const expired = new Promise<never>((_, reject) => {
      this.#reject = reject
    })
    this.#timer = setTimeout(() => this.#abort(this.#tooSlow()), this.definition.stepTimeoutMs)
    const onStop = (): void => this.#abort(this.#stopped())
    if (this.stopping.aborted) onStop()
    else this.stopping.addEventListener("abort", onStop, { once: true })
    try {
      await Promise.race([running, expired])
    } finally {
      this.end()
      clearTimeout(this.#timer)
      this.stopping.removeEventListener("abort", onStop)
    }
    return this.outputs
  }

  /** Nothing may be emitted any more. */
  end(): void {
    this.#open = false
  }

  #abort(error: Error): void {
    this.#controller ??= new AbortController()
    this.#controller.abort(error)
    this.#reject?.(error)
  }

  #stopped(): Error {
    return new RetryableError(`"${this.agent}" was stopped in a step`, { code: "STEP_STOPPED" })
  }

  #tooSlow(): Error {
    const message = `A step of "${this.agent}" took longer than ${this.definition.stepTimeoutMs} ms (stepTimeoutMs)`
    return new RetryableError(message, { code: "STEP_TIMEOUT" })
  }
}
