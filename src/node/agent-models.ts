import type { AgentDefinition } from "../agents/define-agent.js"
import { checkAliases, resolveModels } from "../gateways/broker/model-names.js"
import type { ModelsDefinition } from "../gateways/define-models.js"

/**
 * The names under which an agent is known to ask for models: what the deployment says, else what it says itself. The default
 * is counted only for an agent with instructions: another one may never ask.
 */
export function namedModels(agent: AgentDefinition, models: ModelsDefinition): readonly string[] {
  const own = models.agents?.[agent.name]?.model ?? agent.model
  const names = own ?? (agent.instructions === undefined ? undefined : models.default) ?? []
  return typeof names === "string" ? [names] : names
}

/**
 * The models behind those names, as `provider/model`, in the order in which they are tried.
 *
 * @throws TerminalError `LLM_OPTION` for a name that is neither a model's nor an alias, and aliases that go in a circle
 */
export function resolvedModels(agent: AgentDefinition, models: ModelsDefinition): readonly string[] {
  const names = namedModels(agent, models)
  return names.length === 0 ? [] : resolveModels(names, checkAliases(models.aliases ?? {}))
}
