import { badOption } from "./refusals.js"

/** Other names for models, each with the names or aliases that it stands for. */
export type Aliases = ReadonlyMap<string, readonly string[]>

const MODEL = /^[^/\s]+\/\S+$/

/**
 * Checks aliases: each stands for models, or for aliases that in the end do.
 *
 * @throws TerminalError `LLM_OPTION` for a circle, and for a name that is neither a model's nor an alias
 */
export function checkAliases(given: Readonly<Record<string, string | readonly string[]>>): Aliases {
  const aliases = new Map<string, readonly string[]>()
  for (const [alias, names] of Object.entries(given)) {
    if (alias === "" || alias.includes("/")) {
      throw badOption(
        "create broker",
        `aliases: "${alias}" must not be empty or contain "/", which is for provider/model`,
      )
    }
    aliases.set(alias, typeof names === "string" ? [names] : names)
  }
  for (const alias of aliases.keys()) walk(alias, aliases, [], "create broker")
  return aliases
}

/**
 * The models that names stand for, in the order in which they are tried, each once.
 *
 * @throws TerminalError `LLM_OPTION` for a name that is neither `provider/model` nor an alias, and when there is none
 * @example resolveModels(["fast", "openai/gpt-5"], new Map([["fast", ["ollama/qwen3:8b"]]])) // both full names
 */
export function resolveModels(names: readonly string[], aliases: Aliases): readonly string[] {
  const [only] = names
  if (names.length === 1 && only !== undefined && MODEL.test(only)) return names
  if (only === undefined) throw badOption("ask a model", "no model is named. Name one as provider/model, or an alias")
  return [...new Set(names.flatMap((name) => walk(name, aliases, [], "ask a model")))]
}

function walk(name: string, aliases: Aliases, path: readonly string[], doing: string): readonly string[] {
  const stands = aliases.get(name)
  if (stands === undefined) {
    if (typeof name === "string" && MODEL.test(name)) return [name]
    throw badOption(
      doing,
      `"${name}" is neither provider/model nor an alias (aliases: ${[...aliases.keys()].join(", ") || "none"})`,
    )
  }
  if (path.includes(name)) throw badOption(doing, `aliases go in a circle: ${[...path, name].join(" -> ")}`)
  return stands.flatMap((next) => walk(next, aliases, [...path, name], doing))
}
