import type { SealedEvent } from "../bus/encode.js"
import { ensureError } from "../errors.js"
import type { Telemetry } from "../telemetry/ports.js"
import { crashesAt, crashPoint } from "./crash-points.js"
import type { AgentStats } from "./host.js"

/** What publishing outputs needs of a node. */
export interface OutputPorts {
  readonly telemetry: Telemetry
  readonly events: { store(event: SealedEvent): Promise<unknown> }
}

/** Publishes what an agent emits: counted, and each with a span of its own when somebody traces. */
export class Outputs {
  constructor(
    private readonly agent: string,
    private readonly ports: OutputPorts,
    private readonly stats: Pick<AgentStats, "emitted">,
  ) {}

  /**
   * Resolves when all are stored. One connection keeps the order of what is sent, so several need not wait for one
   * another.
   */
  publish(outputs: readonly SealedEvent[]): Promise<unknown> {
    this.stats.emitted += outputs.length
    const { metrics } = this.ports.telemetry
    if (metrics.enabled) {
      for (const { type } of outputs) metrics.count("murmur.events.published", 1, { producer: this.agent, type })
    }
    const [first] = outputs
    if (outputs.length === 1 && first !== undefined) return this.#publishOne(first)
    if (crashesAt("P7")) return this.#publishInTurn(outputs)
    return Promise.all(outputs.map((output) => this.#publishOne(output)))
  }

  /** For a crash between two outputs, which otherwise leave together. */
  async #publishInTurn(outputs: readonly SealedEvent[]): Promise<void> {
    for (const output of outputs) {
      await this.#publishOne(output)
      crashPoint("P7")
    }
  }

  #publishOne(output: SealedEvent): Promise<unknown> {
    return this.ports.telemetry.tracing.enabled ? this.#send(output) : this.ports.events.store(output)
  }

  async #send(output: SealedEvent): Promise<void> {
    const span = this.ports.telemetry.tracing.start(`send ${output.type}`, {
      kind: "producer",
      parent: output.trace,
      attributes: {
        "messaging.system": "nats",
        "messaging.operation.type": "send",
        "messaging.message.id": output.id,
        "murmur.agent": this.agent,
        "murmur.event.key": output.key,
      },
    })
    try {
      await this.ports.events.store({ ...output, trace: span.context })
    } catch (error) {
      span.fail(ensureError(error))
      throw error
    } finally {
      span.end()
    }
  }
}
