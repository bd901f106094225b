import { amountText, isMoney, kindOf } from "../../agents/guards/limits.js"
import { howToAdd } from "../models/mending.js"
import type { Chain } from "../models/named.js"
import type { Setup } from "../models/setup.js"
import type { ModelView } from "../models/survey.js"
import { bad, type Check, fine, listed } from "./check.js"

/** What money is limited by. */
export interface Budgets {
  readonly chains: readonly Chain[]
  /** By kind, `Infinity` for none. */
  readonly limits: Readonly<Record<string, number>>
}

/** A model without a price is not asked while money is limited: what it costs could not be counted. */
export function checkPrices(models: readonly ModelView[], { chains, limits }: Budgets): Check[] {
  const named = new Set(chains.flatMap((chain) => chain.models))
  const without = models.filter(({ name, price }) => price === null && named.has(name)).map(({ name }) => name)
  const [limited] = Object.entries(limits).filter(
    ([limit, amount]) => isMoney(kindOf(limit)) && limit === kindOf(limit) && Number.isFinite(amount),
  )
  const [first] = without
  if (first === undefined || limited === undefined) return []
  const [kind, amount] = limited
  const option = kind.replace("microusd", "usd")
  return [
    bad(
      "prices",
      `money is limited (${option}: ${amountText(kind, amount)}), and nobody has said what these cost: ${listed(without)}`,
      `say it: defineModels({ models: { "${first}": { price: { inputUsd, outputUsd } } } }); or: murmur guard limits --${option} none`,
    ),
  ]
}

/** Providers that murmur knows by itself: one without a key on this machine may have one on another. */
const KNOWN = new Set(["openai", "anthropic", "gemini", "ollama"])

/** Limits of providers that are not there: of a slip of the pen nobody would hear otherwise. */
export function checkLimited({ models, gateways, unusable }: Setup): Check[] {
  const strangers = Object.keys(models.limits ?? {}).filter(
    (name) => !unusable.has(name) && !gateways.some(({ provider }) => provider === name),
  )
  return strangers.map((name) => {
    const detail = `limits for "${name}", which is no provider here`
    if (KNOWN.has(name)) return fine("limits", detail, howToAdd(name))
    const there = gateways.map(({ provider }) => provider)
    return bad("limits", detail, `${howToAdd(name)}; or mend its name (there are: ${listed(there)})`)
  })
}
