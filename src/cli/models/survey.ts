import { type KnownModel, knownModel, type Price } from "../../gateways/models/known-model.js"
import { howToAdd } from "./mending.js"
import { type BadName, type Named, namedIn } from "./named.js"
import { type Probe, probe, silent } from "./probe.js"
import type { Setup } from "./setup.js"

/** A provider, and whether it answers. */
export interface ProviderView {
  readonly provider: string
  readonly answers: boolean
  /** Why it does not, and what to do. */
  readonly code: string | null
  readonly why: string | null
  readonly fix: string | null
  /** How many models it has; `null` when it does not say. */
  readonly models: number | null
}

/**
 * Whether a model can be asked: `ready`; `not-pulled` to the machine that would run it; `not-offered` in its provider's list,
 * which need not mean much; `no-answer` of its provider; `no-provider` of that name.
 */
export type ModelState = "ready" | "not-pulled" | "not-offered" | "no-answer" | "no-provider"

/** A model, and what murmur goes by when it asks it. */
export interface ModelView extends Omit<KnownModel, "price"> {
  readonly price: Price | null
  readonly state: ModelState
  readonly why: string | null
  readonly fix: string | null
  /** Places in chains: of the default, of aliases, of agents; `at` counts from 1. */
  readonly default: boolean
  readonly aliases: readonly { readonly name: string; readonly at: number; readonly of: number }[]
  readonly agents: readonly string[]
  /** Whether the set-up names it; else its provider only offers it. */
  readonly named: boolean
}

/** What models there are, and how they stand. */
export interface Survey {
  readonly default: readonly string[]
  readonly aliases: Readonly<Record<string, readonly string[]>>
  readonly providers: readonly ProviderView[]
  readonly models: readonly ModelView[]
  readonly bad: readonly BadName[]
}

/** How a set-up is looked at. */
export interface SurveyOptions {
  /** Lists also what providers offer and nobody names. Default false. */
  readonly all?: boolean
  /** The models that count as named. Default: those that the set-up names. */
  readonly named?: Named
}

/** Asks all providers of a set-up side by side. */
export async function survey(setup: Setup, options: SurveyOptions = {}): Promise<Survey> {
  const { all = false, named = namedIn(setup) } = options
  const probes = await probesOf(setup)
  const offered = all ? [...probes].flatMap(([provider, found]) => fullNames(provider, found)) : []
  const names = [...new Set([...named.models, ...offered])].sort()
  const chainOf = (kind: string) => named.chains.filter(({ by }) => by.kind === kind)
  return {
    default: chainOf("default")[0]?.models ?? [],
    aliases: Object.fromEntries(chainOf("alias").map(({ by, models }) => ["name" in by ? by.name : "", models])),
    providers: [...probes].map(([provider, found]) => providerView(provider, found)),
    models: names.map((name) => modelView(knownModel(name, setup.models.models), { setup, named, probes })),
    bad: named.bad,
  }
}

async function probesOf({ gateways, unusable }: Setup): Promise<Map<string, Probe>> {
  const asked = gateways.map(async (gateway) => [gateway.provider, await probe(gateway)] as const)
  const broken = [...unusable].map(([provider, error]) => [provider, silent(provider, error)] as const)
  return new Map([...(await Promise.all(asked)), ...broken].sort(([a], [b]) => (a < b ? -1 : 1)))
}

function fullNames(provider: string, found: Probe): string[] {
  return found.answers ? (found.offered ?? []).map(({ name }) => `${provider}/${name}`) : []
}

function providerView(provider: string, found: Probe): ProviderView {
  if (!found.answers) {
    const { code, why, fix } = found
    return { provider, answers: false, code, why, fix, models: null }
  }
  return { provider, answers: true, code: null, why: null, fix: null, models: found.offered?.length ?? null }
}

interface Found {
  readonly setup: Setup
  readonly named: Named
  readonly probes: ReadonlyMap<string, Probe>
}

function modelView(known: KnownModel, found: Found): ModelView {
  const { chains, models } = found.named
  const within = chains.filter((chain) => chain.models.includes(known.name))
  return {
    ...known,
    price: known.price ?? null,
    ...stateOf(known, found),
    default: within.some(({ by }) => by.kind === "default"),
    aliases: within.flatMap(({ by, models: chain }) =>
      by.kind === "alias" ? [{ name: by.name, at: chain.indexOf(known.name) + 1, of: chain.length }] : [],
    ),
    agents: within.flatMap(({ by }) => (by.kind === "agent" ? [by.name] : [])),
    named: models.includes(known.name),
  }
}

function stateOf(
  { name, provider, model }: KnownModel,
  { setup, probes }: Found,
): Pick<ModelView, "state" | "why" | "fix"> {
  const found = probes.get(provider)
  if (found === undefined) {
    const known = [...probes.keys()].join(", ") || "none"
    return {
      state: "no-provider",
      why: `there is no provider "${provider}" (there are: ${known})`,
      fix: howToAdd(provider),
    }
  }
  if (!found.answers) return { state: "no-answer", why: found.why, fix: found.fix }
  if (found.offered === undefined || found.offered.some((one) => isSame(one.name, model))) {
    return { state: "ready", why: null, fix: null }
  }
  const pulls = setup.gateways.find((gateway) => gateway.provider === provider)?.pull !== undefined
  if (pulls) {
    return {
      state: "not-pulled",
      why: `"${model}" is not on the machine of "${provider}"`,
      fix: `murmur models pull ${name}`,
    }
  }
  return {
    state: "not-offered",
    why: `"${model}" is not in the list of "${provider}", which may know it all the same`,
    fix: `murmur models ask ${name} hello`,
  }
}

/** Ollama's names have a tag; without one they mean the newest. */
function isSame(offered: string, wanted: string): boolean {
  return offered === wanted || offered === `${wanted}:latest` || `${offered}:latest` === wanted
}
