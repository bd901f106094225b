import type { BrokerOptions } from "./broker/options.js"
import type { ModelsDefinition } from "./define-models.js"
import { type EnvProvider, providersOfEnv } from "./from-env.js"
import type { Gateway } from "./gateway.js"

/** What of a mesh's models a broker is made with, besides its gateways. What is not said is left to the broker. */
export function brokerOptionsOf(models: ModelsDefinition): Omit<BrokerOptions, "gateways"> {
  const { aliases, models: facts, limits, cacheMs, timeoutMs, idleMs, retry, circuit } = models
  return {
    ...(aliases !== undefined && { aliases }),
    ...(facts !== undefined && { models: facts }),
    ...(limits !== undefined && { limits }),
    ...(cacheMs !== undefined && { cacheMs }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(idleMs !== undefined && { idleMs }),
    ...(retry !== undefined && { retry }),
    ...(circuit !== undefined && { circuit }),
  }
}

/**
 * The gateways of a mesh: those that its models were defined with, and those that the environment names besides. Of two for
 * one provider the first: what somebody has given comes before what the environment says.
 *
 * @throws TerminalError `LLM_OPTION` when what the environment says is no key, or no address
 */
export async function gatewaysOf(models: ModelsDefinition, env: NodeJS.ProcessEnv): Promise<Gateway[]> {
  return [...givenGateways(models), ...(await Promise.all(othersOfEnv(models, env).map(({ make }) => make())))]
}

/** The gateways that the models were defined with, one for each provider. */
export function givenGateways({ gateways = [] }: ModelsDefinition): readonly Gateway[] {
  const byProvider = new Map<string, Gateway>()
  for (const gateway of gateways) if (!byProvider.has(gateway.provider)) byProvider.set(gateway.provider, gateway)
  return [...byProvider.values()]
}

/** The providers that only the environment names. */
export function othersOfEnv({ gateways = [] }: ModelsDefinition, env: NodeJS.ProcessEnv): readonly EnvProvider[] {
  const given = new Set(gateways.map(({ provider }) => provider))
  return providersOfEnv(env).filter(({ provider }) => !given.has(provider))
}
