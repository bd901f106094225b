import { type SealedEvent, seal } from "../bus/encode.js"
import type { MurmurEvent, TraceContext } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"
import { ensureError, errorCode, RetryableError } from "../errors.js"
import type { Span, Telemetry } from "../telemetry/ports.js"
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

/**
 * Runs single attempts of a handler agent's steps: handler, then outputs. An attempt that resolves has its outputs
 * stored; it never rejects.
 */
export class StepRunner {
  readonly #gate: EmitGate
  readonly #handle: (event: MurmurEvent, ctx: StepContext) => Promise<void> | void
  readonly #spanName: string

  constructor(
    private readonly agent: AgentDefinition & { behaviour: { kind: "handle" } },
    private readonly ports: StepPorts,
    private readonly stats: AgentStats,
  ) {
    this.#gate = new EmitGate(agent.name, agent.emits)
    this.#handle = agent.behaviour.handle
    this.#spanName = `process ${agent.name}`
  }

  /** @param stopping aborted when the node cannot wait any longer */
  async attempt(event: MurmurEvent, attempt: number, stopping: AbortSignal): Promise<Outcome> {
    const began = Date.now()
    const { tracing, metrics } = this.ports.telemetry
    const span = tracing.start(this.#spanName, {
      kind: "consumer",
      parent: event.trace,
      ...(tracing.enabled && { attributes: this.#attributes(event, attempt) }),
    })
    let outcome: Outcome
    try {
      const outputs = await span.run(() => this.#handleEvent(event, attempt, span, stopping))
      await this.#publish(outputs)
      outcome = { ok: true }
    } catch (thrown) {
      const error = ensureError(thrown)
      span.fail(error)
      const durationMs = Date.now() - began
      const at = new Date(began).toISOString()
      outcome = { ok: false, error, attempt: { at, durationMs, code: errorCode(error), message: error.message } }
    }
    span.end()
    if (metrics.enabled) {
      const labels = { agent: this.agent.name, outcome: outcome.ok ? "ok" : "error" }
      metrics.duration("murmur.step.duration", (Date.now() - began) / 1_000, labels)
    }
    return outcome
  }

  async #handleEvent(event: MurmurEvent, attempt: number, span: Span, stopping: AbortSignal): Promise<SealedEvent[]> {
    const outputs: SealedEvent[] = []
    const clock = new StepClock(this.agent, stopping)
    let open = true
    const ctx: StepContext = {
      agent: this.agent.name,
      key: event.key,
      attempt,
      get signal() {
        return clock.signal
      },
      log: agentLog(this.ports.telemetry.log, this.agent.name),
      emit: (draft) => {
        if (!open)
          throw new RetryableError(`"${this.agent.name}" emitted after its step had ended`, { code: "EMIT_LATE" })
        outputs.push(this.#output(this.#gate.check(draft), event, outputs.length, span.context))
      },
    }
    try {
      const running = this.#handle(event, ctx)
      if (running !== undefined) await Promise.race([running, clock.expired()])
    } finally {
      open = false
      clock.stop()
    }
    return outputs
  }

  #output(
    draft: Parameters<typeof seal>[0],
    cause: MurmurEvent,
    position: number,
    trace: TraceContext | undefined,
  ): SealedEvent {
    const id = derivedId(this.agent.name, cause.key ?? "", cause.id, position)
    return seal({ ...draft, id }, { mesh: this.ports.bus.names.mesh, producer: this.agent.name, cause, trace })
  }

  /** One connection keeps the order of what is sent, so several outputs need not wait for one another. */
  async #publish(outputs: readonly SealedEvent[]): Promise<void> {
    if (outputs.length === 0) return
    this.stats.emitted += outputs.length
    const { tracing } = this.ports.telemetry
    if (outputs.length === 1 && outputs[0] !== undefined && !tracing.enabled) {
      await this.ports.bus.publisher.store(outputs[0])
      return
    }
    await Promise.all(outputs.map((output) => this.#send(output)))
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

/** The time that one attempt has. Timer and signal are made only when somebody looks: most steps are over before. */
class StepClock {
  readonly #controller = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #reject: ((error: Error) => void) | undefined

  constructor(
    private readonly agent: AgentDefinition,
    private readonly stopping: AbortSignal,
  ) {}

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Rejects when the time is up or the node stops. Never resolves. */
  expired(): Promise<never> {
    return new Promise<never>((_, reject) => {
      this.#reject = reject
      this.#timer = setTimeout(() => this.#abort(this.#tooSlow()), this.agent.stepTimeoutMs)
      if (this.stopping.aborted) this.#onStop()
      else this.stopping.addEventListener("abort", this.#onStop, { once: true })
    })
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.stopping.removeEventListener("abort", this.#onStop)
  }

  #onStop = (): void => {
    this.#abort(new RetryableError(`"${this.agent.name}" was stopped in a step`, { code: "STEP_STOPPED" }))
  }

  #abort(error: Error): void {
    this.#controller.abort(error)
    this.#reject?.(error)
  }

  #tooSlow(): Error {
    const message = `A step of "${this.agent.name}" took longer than ${this.agent.stepTimeoutMs} ms (stepTimeoutMs)`
    return new RetryableError(message, { code: "STEP_TIMEOUT" })
  }
}
