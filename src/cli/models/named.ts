import { ensureError } from "../../errors.js"
import { type Aliases, checkAliases, resolveModels } from "../../gateways/broker/model-names.js"
import { resolvedModels } from "../../node/agent-models.js"
import type { Setup } from "./setup.js"

/** A list of models to be tried one after the other, and who has named it. */
export interface Chain {
  readonly by: { readonly kind: "default" } | { readonly kind: "alias" | "agent"; readonly name: string }
  readonly models: readonly string[]
}

/** A name that means nothing. */
export interface BadName {
  /** Where it stands: `the default`, `agent "triage"`. */
  readonly where: string
  readonly message: string
}

/** All models that a set-up names. */
export interface Named {
  readonly chains: readonly Chain[]
  /** By full name, each once; those that only have facts too. */
  readonly models: readonly string[]
  readonly bad: readonly BadName[]
}

/** The models that a set-up names: as the default, behind aliases, for agents, and those that it says something about. */
export function namedIn({ models, agents }: Pick<Setup, "models" | "agents">): Named {
  const chains: Chain[] = []
  const bad: BadName[] = []
  const add = (by: Chain["by"], where: string, resolve: () => readonly string[]): void => {
    try {
      const resolved = resolve()
      if (resolved.length > 0) chains.push({ by, models: resolved })
    } catch (error) {
      bad.push({ where, message: ensureError(error).message })
    }
  }
  const aliases = aliasesOf(models.aliases, bad)
  if (models.default !== undefined) {
    add({ kind: "default" }, "the default", () => resolveModels([models.default ?? []].flat(), aliases))
  }
  for (const alias of aliases.keys()) {
    add({ kind: "alias", name: alias }, `alias "${alias}"`, () => resolveModels([alias], aliases))
  }
  for (const agent of agents) {
    const { name } = agent
    add({ kind: "agent", name }, `agent "${name}"`, () =>
      resolvedModels(agent, { ...models, aliases: Object.fromEntries(aliases) }),
    )
  }
  const described = Object.keys(models.models ?? {}).filter((name) => !name.endsWith("/*"))
  return { chains, models: [...new Set([...chains.flatMap((chain) => chain.models), ...described])], bad }
}

function aliasesOf(given: Setup["models"]["aliases"] = {}, bad: BadName[]): Aliases {
  try {
    return checkAliases(given)
  } catch (error) {
    bad.push({ where: "the aliases", message: ensureError(error).message })
    return new Map()
  }
}
