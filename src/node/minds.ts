import type { AgentDefinition } from "../agents/define-agent.js"
import type { MindPorts, ToldBy } from "../agents/llm/ports.js"
import { checkOverrides } from "../agents/minds/overrides.js"
import type { EventDraft } from "../bus/event.js"
import { ensureError } from "../errors.js"
import type { Broker, ProviderStatus } from "../gateways/broker/broker.js"
import type { AgentOverrides, ModelsDefinition } from "../gateways/define-models.js"
import { resolvedModels } from "./agent-models.js"
import { LazyBroker, type LazyBrokerPorts } from "./lazy-broker.js"

/** So many run events may wait to be stored; more are left out: what happened is in the journal. */
const TELLING_MAX = 1_000

/**
 * What the agents of a node think with. Nothing of it is made before an agent asks: a mesh without minds loads no SDK and
 * opens no bucket.
 */
export class NodeMinds implements MindPorts {
  #models: ModelsDefinition
  #broker: LazyBroker
  /** Those that were replaced and are still asked something. */
  readonly #retiring = new Set<LazyBroker>()
  #telling = 0

  constructor(
    private readonly ports: LazyBrokerPorts,
    models: ModelsDefinition | undefined,
  ) {
    checkOverrides(models?.agents)
    this.#models = models ?? {}
    this.#broker = new LazyBroker(ports, this.#models)
  }

  get broker(): Broker {
    return this.#broker
  }

  get defaultModel(): string | readonly string[] | undefined {
    return this.#models.default
  }

  get tellContent(): boolean {
    return this.#models.tellContent ?? true
  }

  overridesOf(agent: string): AgentOverrides | undefined {
    return this.#models.agents?.[agent]
  }

  /** How the providers stand that were asked so far. */
  get providers(): readonly ProviderStatus[] {
    return this.#broker.status()
  }

  /** The models that an agent is known to ask, as `provider/model`; none where their names mean nothing. */
  modelsOf(agent: AgentDefinition): readonly string[] {
    try {
      return resolvedModels(agent, this.#models)
    } catch {
      return [] // the call that asks for them says what is wrong
    }
  }

  tell(draft: EventDraft, { agent, cause, trust }: ToldBy): void {
    const { bus, telemetry } = this.ports
    const { log, metrics } = telemetry
    if (this.#telling >= TELLING_MAX) {
      metrics.count("murmur.run.untold", 1, { agent })
      return
    }
    this.#telling += 1
    bus
      .publish(draft, { producer: agent, cause, trust })
      .catch((thrown) => log.debug({ agent, type: draft.type, error: ensureError(thrown) }, "cannot tell of a run"))
      .finally(() => {
        this.#telling -= 1
      })
  }

  /** Uses other models from now on. What is under way ends with those that it began with. */
  replace(models: ModelsDefinition | undefined): void {
    if (models === this.#models || (models === undefined && Object.keys(this.#models).length === 0)) return
    checkOverrides(models?.agents)
    const before = this.#broker
    this.#models = models ?? {}
    this.#broker = new LazyBroker(this.ports, this.#models)
    this.#retiring.add(before)
    const retired = (): boolean => this.#retiring.delete(before)
    void before.retire().then(retired, retired)
  }

  async close(): Promise<void> {
    await Promise.all([this.#broker, ...this.#retiring].map((broker) => broker.close()))
  }
}
