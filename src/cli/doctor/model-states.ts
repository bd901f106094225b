import type { Chain } from "../models/named.js"
import type { ModelView } from "../models/survey.js"
import { bad, type Check, fine, listed } from "./check.js"

/** Who asks for models. */
export interface Askers {
  readonly chains: readonly Chain[]
  /** Agents of the mesh whose files were not given, by the models that they ask. */
  readonly elsewhere: ReadonlyMap<string, ReadonlySet<string>>
}

/**
 * Models that cannot be asked from here, one row for each provider or model. It is wrong only where somebody has no other
 * model to go on with; and nodes elsewhere have their own environment.
 */
export function checkStates(models: readonly ModelView[], { chains, elsewhere }: Askers): Check[] {
  const usable = new Set(models.filter(isUsable).map(({ name }) => name))
  const groups = new Map<string, ModelView[]>()
  for (const model of models) {
    if (model.why === null) continue
    const about = model.state === "no-answer" || model.state === "no-provider" ? model.provider : model.name
    groups.set(about, [...(groups.get(about) ?? []), model])
  }
  return [...groups].map(([about, group]) => {
    const names = group.map(({ name }) => name)
    const within = chains.filter(({ models: chain }) => chain.some((name) => names.includes(name)))
    const stuck = within.filter(({ models: chain }) => !chain.some((name) => usable.has(name)))
    return rowOf(about, group, { within, stuck, elsewhere })
  })
}

/** A list that does not have a model need not mean much. */
function isUsable({ state }: ModelView): boolean {
  return state === "ready" || state === "not-offered"
}

interface Found extends Pick<Askers, "elsewhere"> {
  readonly within: readonly Chain[]
  readonly stuck: readonly Chain[]
}

function rowOf(about: string, group: readonly ModelView[], { within, stuck, elsewhere }: Found): Check {
  const [first] = group
  const { why = "", fix = "", state } = first ?? {}
  const check = state === "no-answer" || state === "no-provider" ? "providers" : "models"
  const what = state === "no-answer" ? `"${about}" does not answer: ${why}` : `${why}`
  if (stuck.length > 0) return bad(check, `${what}; wanted by ${whoOf(stuck)}`, fix ?? "")
  const far = group.flatMap(({ name }) => [...(elsewhere.get(name) ?? [])].map((agent) => `agent "${agent}"`))
  if (within.length > 0) {
    const goOn = first !== undefined && isUsable(first) ? "" : ", who can go on with another model"
    return fine(check, `${what}; wanted by ${whoOf(within)}${goOn}`, fix)
  }
  return fine(check, `from here: ${what}; wanted by ${listed([...new Set(far)])}`, "nodes have their own environment")
}

/** Agents, where there are any: an alias or the default alone asks nothing. */
function whoOf(chains: readonly Chain[]): string {
  const agents = chains.filter(({ by }) => by.kind === "agent")
  const shown = agents.length > 0 ? agents : chains
  return listed(shown.map(({ by }) => (by.kind === "default" ? "the default" : `${by.kind} "${by.name}"`)))
}
