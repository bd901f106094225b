import type { Bus } from "../bus/bus.js"
import { RetryableError } from "../errors.js"
import type {
  Broker,
  BrokerCall,
  BrokerCompletion,
  BrokerEmbeddings,
  BrokerEmbedRequest,
  BrokerRequest,
  ProviderStatus,
} from "../gateways/broker/broker.js"
import { checkAliases, resolveModels } from "../gateways/broker/model-names.js"
import type { ModelsDefinition } from "../gateways/define-models.js"
import type { Gateway } from "../gateways/gateway.js"
import { type KnownModel, knownModel } from "../gateways/models/known-model.js"
import type { Telemetry } from "../telemetry/ports.js"

/** A broker that is made when it is first asked: with the node's providers, and limits and cache that the mesh shares. */
export class LazyBroker implements Broker {
  #opening: Promise<Broker> | undefined
  #open: Broker | undefined
  readonly #closing = new AbortController()

  constructor(
    private readonly bus: Bus,
    private readonly telemetry: Telemetry,
    private readonly models: ModelsDefinition,
  ) {}

  async complete(request: BrokerRequest, call: BrokerCall): Promise<BrokerCompletion> {
    return (await this.#get()).complete(request, call)
  }

  async embed(request: BrokerEmbedRequest, call: BrokerCall): Promise<BrokerEmbeddings> {
    return (await this.#get()).embed(request, call)
  }

  model(name: string): KnownModel {
    if (this.#open !== undefined) return this.#open.model(name)
    const [first] = resolveModels([name], checkAliases(this.models.aliases ?? {}))
    return knownModel(first ?? name, this.models.models)
  }

  status(): readonly ProviderStatus[] {
    return this.#open?.status() ?? []
  }

  async close(): Promise<void> {
    const open = await this.#opening?.catch(() => undefined)
    await open?.close()
    this.#closing.abort(closed())
  }

  /** One that could not be made is tried again by the next who asks. */
  #get(): Promise<Broker> {
    this.#opening ??= this.#make().then(
      (broker) => {
        this.#open = broker
        return broker
      },
      (error) => {
        this.#opening = undefined
        throw error
      },
    )
    return this.#opening
  }

  async #make(): Promise<Broker> {
    const { bus, telemetry, models } = this
    const [{ createBroker }, { gatewaysFromEnv }, { MeshRateLimiter }, { KvResponseCache }] = await Promise.all([
      import("../gateways/broker/create-broker.js"),
      import("../gateways/from-env.js"),
      import("./llm/rate-limits.js"),
      import("./llm/response-cache.js"),
    ])
    const given = models.gateways ?? []
    const gateways = distinct([...given, ...(await gatewaysFromEnv(process.env))])
    const limiter = await MeshRateLimiter.open(bus, { signal: this.#closing.signal, log: telemetry.log })
    return createBroker({
      gateways,
      telemetry,
      limiter,
      cache: new KvResponseCache(bus, { log: telemetry.log }),
      ...(models.aliases !== undefined && { aliases: models.aliases }),
      ...(models.models !== undefined && { models: models.models }),
      ...(models.limits !== undefined && { limits: models.limits }),
      ...(models.cacheMs !== undefined && { cacheMs: models.cacheMs }),
      ...(models.timeoutMs !== undefined && { timeoutMs: models.timeoutMs }),
      ...(models.idleMs !== undefined && { idleMs: models.idleMs }),
      ...(models.retry !== undefined && { retry: models.retry }),
      ...(models.circuit !== undefined && { circuit: models.circuit }),
    })
  }
}

function closed(): Error {
  return new RetryableError("The node stops, or uses other models now", { code: "STEP_STOPPED" })
}

/** Of two for one provider the first: what somebody has given comes before what the environment names. */
function distinct(gateways: readonly Gateway[]): Gateway[] {
  const byProvider = new Map<string, Gateway>()
  for (const gateway of gateways) if (!byProvider.has(gateway.provider)) byProvider.set(gateway.provider, gateway)
  return [...byProvider.values()]
}
