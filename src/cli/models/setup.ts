import type { AgentDefinition } from "../../agents/define-agent.js"
import { ensureError } from "../../errors.js"
import type { ModelsDefinition } from "../../gateways/define-models.js"
import { givenGateways, othersOfEnv } from "../../gateways/from-models.js"
import type { Gateway } from "../../gateways/gateway.js"
import { Loader } from "../../node/loader.js"
import { pathsOrDefault } from "../paths.js"

/** What files and the environment say about models. */
export interface Setup {
  readonly models: ModelsDefinition
  readonly agents: readonly AgentDefinition[]
  readonly gateways: readonly Gateway[]
  /** Providers that the environment names, but not so that a gateway can be made of it. */
  readonly unusable: ReadonlyMap<string, Error>
}

/**
 * Reads the files that `murmur up` would be given, and the environment. No provider is reached.
 *
 * @throws MurmurError `LOAD_PATH`, `LOAD_FILE`, `MODELS_TWICE`
 */
export async function readSetup(paths: readonly string[], env = process.env): Promise<Setup> {
  const chosen = pathsOrDefault(paths)
  const { agents, models = {} } = chosen.length === 0 ? { agents: [] } : await new Loader(chosen).load()
  const gateways = [...givenGateways(models)]
  const unusable = new Map<string, Error>()
  for (const { provider, make } of othersOfEnv(models, env)) {
    try {
      gateways.push(await make())
    } catch (error) {
      unusable.set(provider, ensureError(error))
    }
  }
  return { models, agents, gateways, unusable }
}
