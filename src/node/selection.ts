import { MurmurError } from "../errors.js"
import { closest } from "../router/closest.js"
import { hasLabels, type Labels, labelText } from "../router/labels.js"
import type { Hosted } from "./hosted.js"

/** Which of the agents and sources of its files a node hosts. */
export interface Selection {
  /** Names, or patterns with `*`. Default: all. */
  readonly names?: readonly string[] | undefined
  /** What the node is labelled with. */
  readonly labels: Labels
}

/** What a selection makes of what was found in files. */
export interface Selected<T extends Hosted> {
  readonly hosted: T
  /** Agents of the files that are for other nodes. */
  readonly elsewhere: T["agents"]
  /** What was selected, and asks for labels that the node does not have: a sentence each. */
  readonly misfits: readonly string[]
}

/**
 * Chooses what a node hosts: what is named, and of that what the node's labels fit.
 *
 * @throws MurmurError `AGENT_UNKNOWN` when a name, or a pattern, fits nothing that the files define
 * @example
 * select(await loader.load(), { names: ["triage", "ci-*"], labels: { gpu: "true" } })
 */
export function select<T extends Hosted>(loaded: T, { names, labels }: Selection): Selected<T> {
  const all = [...loaded.agents, ...loaded.sources]
  const named =
    names === undefined
      ? undefined
      : patterns(
          names,
          all.map(({ name }) => name),
        )
  const isNamed = ({ name }: { name: string }): boolean => named?.some((pattern) => pattern.test(name)) ?? true
  const fits = ({ nodeSelector = {} }: { nodeSelector?: Labels | undefined }): boolean =>
    hasLabels(labels, nodeSelector)
  const agents = loaded.agents.filter((agent) => isNamed(agent) && fits(agent))
  const sources = loaded.sources.filter((source) => isNamed(source) && fits(source))
  return {
    hosted: { ...loaded, agents, sources },
    elsewhere: loaded.agents.filter((agent) => !agents.includes(agent)),
    misfits: all
      .filter((each) => isNamed(each) && !fits(each))
      .map(({ name, nodeSelector = {} }) => `"${name}" asks for a node with the labels ${labelText(nodeSelector)}`),
  }
}

/**
 * Chooses by name alone, whatever the labels of a node are.
 *
 * @param names names, or patterns with `*`; default: all
 * @throws MurmurError `AGENT_UNKNOWN`
 */
export function selectNamed<T extends Hosted>(loaded: T, names: readonly string[] | undefined): T {
  if (names === undefined) return loaded
  const all = [...loaded.agents, ...loaded.sources].map(({ name }) => name)
  const named = patterns(names, all)
  const isNamed = ({ name }: { name: string }): boolean => named.some((pattern) => pattern.test(name))
  return { ...loaded, agents: loaded.agents.filter(isNamed), sources: loaded.sources.filter(isNamed) }
}

function patterns(names: readonly string[], defined: readonly string[]): RegExp[] {
  return names.map((name) => {
    const pattern = new RegExp(`^${name.split("*").map(escapeRegExp).join(".*")}$`)
    if (defined.some((each) => pattern.test(each))) return pattern
    const close = closest(name, defined)
    const hint =
      close.length > 0
        ? `did you mean ${close.map((each) => `"${each}"`).join(", ")}?`
        : `they define ${
            defined
              .slice(0, 10)
              .map((each) => `"${each}"`)
              .join(", ") || "none at all"
          }`
    throw new MurmurError(`Cannot host "${name}": the files define no agent or source of that name; ${hint}`, {
      code: "AGENT_UNKNOWN",
      details: { name, close },
    })
  })
}

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
