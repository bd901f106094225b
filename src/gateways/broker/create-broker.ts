import { type KnownModel, knownModel } from "../models/known-model.js"
import { askChain, noGateway } from "./ask-chain.js"
import type { Answer, Asked } from "./asked.js"
import type { Broker, BrokerCall, BrokerCompletion, BrokerEmbeddings } from "./broker.js"
import { observed } from "./call-telemetry.js"
import type { CircuitState } from "./circuit.js"
import { completionWork } from "./completion-work.js"
import { embeddingWork } from "./embedding-work.js"
import { Ending, Waits } from "./ending.js"
import { observeProviders } from "./gauges.js"
import { resolveModels } from "./model-names.js"
import { type BrokerOptions, type BrokerSettings, checkOptions } from "./options.js"
import { openProvider, type Provider, statusOf } from "./provider.js"
import { badOption, closed } from "./refusals.js"
import type { Work } from "./work.js"

/**
 * A broker over these gateways.
 *
 * @throws TerminalError `LLM_OPTION`
 * @example
 * const broker = createBroker({
 *   gateways: [openai(), ollama()],
 *   aliases: { fast: ["openai/gpt-5-mini", "ollama/qwen3:8b"] },
 *   limits: { openai: { requestsPerMinute: 500, tokensPerMinute: 200_000 } },
 * })
 * const request = { models: ["fast"], messages: [user("Hello")], options: {} }
 * const { message } = await broker.complete(request, { signal: AbortSignal.timeout(60_000) })
 */
export function createBroker(options: BrokerOptions): Broker {
  return new GatewayBroker(checkOptions(options))
}

/** Names of models may come from events: so many are remembered. */
const MODELS_MAX = 1_000

class GatewayBroker implements Broker {
  readonly #settings: BrokerSettings
  readonly #providers: ReadonlyMap<string, Provider>
  readonly #waits = new Waits()
  readonly #models = new Map<string, KnownModel>()
  readonly #endGauges: () => void
  #arrivals = 0
  #underWay = 0
  #empty: (() => void) | undefined

  constructor(settings: BrokerSettings) {
    this.#settings = settings
    const changed = (provider: string, state: CircuitState): void => this.#circuitChanged(provider, state)
    this.#providers = new Map(
      settings.gateways.map((gateway) => [gateway.provider, openProvider(gateway, settings, changed)]),
    )
    this.#endGauges = observeProviders([...this.#providers.values()], settings.observe)
  }

  complete(request: Parameters<Broker["complete"]>[0], call: BrokerCall): Promise<BrokerCompletion> {
    return this.#ask(request.models, () => completionWork(request, call), call)
  }

  embed(request: Parameters<Broker["embed"]>[0], call: BrokerCall): Promise<BrokerEmbeddings> {
    return this.#ask(request.models, () => embeddingWork(request), call)
  }

  model(name: string): KnownModel {
    const [first] = resolveModels([name], this.#settings.aliases)
    const model = this.#known(first ?? name)
    if (!this.#providers.has(model.provider)) throw noGateway(model, [...this.#providers.keys()])
    return model
  }

  status(): ReturnType<Broker["status"]> {
    return [...this.#providers.values()].map(statusOf)
  }

  async close(): Promise<void> {
    this.#endGauges()
    this.#waits.close(closed())
    if (this.#underWay === 0) return
    await new Promise<void>((resolve) => {
      this.#empty = resolve
    })
  }

  async #ask<T extends object>(
    names: readonly string[],
    workOf: () => Work<T>,
    call: BrokerCall,
  ): Promise<
    T & Pick<BrokerCompletion, "answeredBy" | "cached" | "tries" | "durationMs" | "costMicroUsd" | "firstPartMs">
  > {
    const ending = new Ending(call.signal, this.#waits)
    if (ending.reason !== undefined) throw ending.reason
    const work = workOf()
    const models = resolveModels(names, this.#settings.aliases)
    const beganMs = this.#settings.clock.steady()
    this.#underWay++
    try {
      const answered = await observed(this.#settings, firstOf(models), work, call, (telemetry) =>
        askChain(this.#asked(call, ending, telemetry), models, work),
      )
      work.deliver(answered.answer, answered.cached)
      return { ...answered.answer, ...tookOf(answered, this.#settings.clock.steady() - beganMs) }
    } finally {
      this.#underWay--
      if (this.#underWay === 0) this.#empty?.()
    }
  }

  #asked(
    { priority = 0, deadlineMs = Number.POSITIVE_INFINITY, meter, trace }: BrokerCall,
    ending: Ending,
    telemetry: Asked["telemetry"],
  ): Asked {
    if (!Number.isFinite(priority)) throw badOption("ask a model", `priority must be a number, is ${String(priority)}`)
    if (Number.isNaN(deadlineMs)) throw badOption("ask a model", "deadlineMs must be a time, is NaN")
    const settings = this.#settings
    return {
      settings,
      providers: this.#providers,
      known: this.#known,
      telemetry,
      ending,
      meter,
      priority,
      deadlineMs,
      trace,
      arrival: this.#arrivals++,
      beganMs: settings.clock.now(),
      tries: 0,
    }
  }

  /** As `knownModel`, which looks through tables: a broker is asked for the same few models again and again. */
  readonly #known = (name: string): KnownModel => {
    const seen = this.#models.get(name)
    if (seen !== undefined) return seen
    const model = knownModel(name, this.#settings.models)
    if (this.#models.size < MODELS_MAX) this.#models.set(name, model)
    return model
  }

  #circuitChanged(provider: string, state: CircuitState): void {
    const { log } = this.#settings.telemetry
    const { circuit } = state
    if (circuit === "open") {
      const openMs = Math.max(0, Math.round(state.untilMs - this.#settings.clock.steady()))
      log.warn({ provider, circuit, openMs }, "A provider of models is left alone: it failed again and again")
    } else if (circuit === "half-open") {
      log.info({ provider, circuit }, "A provider of models is tried again")
    } else log.info({ provider, circuit }, "A provider of models answers again")
  }
}

function firstOf([name = ""]: readonly string[]): { provider: string; model: string } {
  const slash = name.indexOf("/")
  return { provider: name.slice(0, slash), model: name.slice(slash + 1) }
}

function tookOf<T>(
  { answeredBy, cached, tries, costMicroUsd, firstPartMs }: Answer<T>,
  durationMs: number,
): Pick<BrokerCompletion, "answeredBy" | "cached" | "tries" | "durationMs" | "costMicroUsd" | "firstPartMs"> {
  return {
    ...{ answeredBy, cached, tries, durationMs },
    ...(costMicroUsd !== undefined && { costMicroUsd }),
    ...(firstPartMs !== undefined && { firstPartMs }),
  }
}
