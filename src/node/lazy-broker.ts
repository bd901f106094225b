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
import { type KnownModel, knownModel } from "../gateways/models/known-model.js"
import type { Observe, Telemetry } from "../telemetry/ports.js"

/** What the broker of a node is made with, besides the models. */
export interface LazyBrokerPorts {
  readonly bus: Bus
  readonly telemetry: Telemetry
  /** Registers gauges of the providers, once there are any. They end when the broker is closed. */
  readonly observe?: Observe | undefined
}

/** A broker that is made when it is first asked: with the node's providers, and limits and cache that the mesh shares. */
export class LazyBroker implements Broker {
  #opening: Promise<Broker> | undefined
  #open: Broker | undefined
  /** Nothing is made any more: nobody would close it, and end its gauges. */
  #closed = false
  readonly #closing = new AbortController()
  readonly #gauges: (() => void)[] = []
  #retired = false
  #underWay = 0
  #onIdle: (() => void) | undefined

  constructor(
    private readonly ports: LazyBrokerPorts,
    private readonly models: ModelsDefinition,
  ) {}

  async complete(request: BrokerRequest, call: BrokerCall): Promise<BrokerCompletion> {
    return this.#use((broker) => broker.complete(request, call))
  }

  async embed(request: BrokerEmbedRequest, call: BrokerCall): Promise<BrokerEmbeddings> {
    return this.#use((broker) => broker.embed(request, call))
  }

  model(name: string): KnownModel {
    if (this.#open !== undefined) return this.#open.model(name)
    const [first] = resolveModels([name], checkAliases(this.models.aliases ?? {}))
    return knownModel(first ?? name, this.models.models)
  }

  status(): readonly ProviderStatus[] {
    return this.#open?.status() ?? []
  }

  /** Closes it when nothing is under way any more: what was begun is paid. */
  async retire(): Promise<void> {
    this.#retired = true
    for (const end of this.#gauges.splice(0)) end() // the next one's would say the same of the same providers
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
    }
    await this.close()
  }

  /** Breaks off what is under way. */
  async close(): Promise<void> {
    this.#closed = true
    const open = await this.#opening?.catch(() => undefined)
    await open?.close()
    this.#closing.abort(closed())
  }

  async #use<T>(work: (broker: Broker) => Promise<T>): Promise<T> {
    this.#underWay += 1
    try {
      return await work(await this.#get())
    } finally {
      this.#underWay -= 1
      if (this.#underWay === 0) this.#onIdle?.()
    }
  }

  /** One that could not be made is tried again by the next who asks. */
  #get(): Promise<Broker> {
    if (this.#closed && this.#opening === undefined) return Promise.reject(closed())
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
    const { bus, telemetry } = this.ports
    const [{ createBroker }, { brokerOptionsOf, gatewaysOf }, { MeshRateLimiter }, { KvResponseCache }] =
      await Promise.all([
        import("../gateways/broker/create-broker.js"),
        import("../gateways/from-models.js"),
        import("./llm/rate-limits.js"),
        import("./llm/response-cache.js"),
      ])
    const gateways = await gatewaysOf(this.models, process.env)
    const limiter = await MeshRateLimiter.open(bus, { signal: this.#closing.signal, log: telemetry.log })
    return createBroker({
      ...brokerOptionsOf(this.models),
      ...{ gateways, telemetry, limiter, cache: new KvResponseCache(bus, { log: telemetry.log }) },
      observe: this.#observe,
    })
  }

  readonly #observe: Observe = (name, description, read) => {
    const { observe } = this.ports
    if (observe === undefined || this.#retired) return () => {}
    const end = observe(name, description, read)
    this.#gauges.push(end)
    return end
  }
}

function closed(): Error {
  return new RetryableError("The node stops, or uses other models now", { code: "STEP_STOPPED" })
}
