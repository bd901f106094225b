import { BUDGET_DEFAULTS } from "../../agents/guards/limits.js"
import { ensureError } from "../../errors.js"
import { namedModels } from "../../node/agent-models.js"
import type { PresenceRecord } from "../../node/buckets.js"
import { namedIn } from "../models/named.js"
import { readSetup, type Setup } from "../models/setup.js"
import { type Survey, survey } from "../models/survey.js"
import { pathsOrDefault } from "../paths.js"
import { counted } from "../text.js"
import { bad, type Check, fine, listed } from "./check.js"
import { checkLimited, checkPrices } from "./model-limits.js"
import { checkStates } from "./model-states.js"

/** What a running mesh says about models. */
export interface MeshMinds {
  readonly nodes: readonly Pick<PresenceRecord, "id" | "agents" | "providers">[]
  /** By kind (`agents/guards/limits.ts`). */
  readonly limits: Readonly<Record<string, number>>
}

/**
 * Whether agents can ask their models: those of the files, and those that nodes which are alive host. Where nobody names a
 * model there is nothing to check.
 */
export async function checkMinds(paths: readonly string[], mesh: MeshMinds | undefined): Promise<Check[]> {
  const asked = checkProviders(mesh)
  try {
    const setup = await readSetup(paths)
    return [...(await checkSetup(setup, mesh)), ...asked]
  } catch (error) {
    const files = listed(pathsOrDefault(paths))
    return [bad("files", ensureError(error).message, `mend it: "murmur up ${files}" would not start`), ...asked]
  }
}

async function checkSetup(setup: Setup, mesh: MeshMinds | undefined): Promise<Check[]> {
  const named = namedIn(setup)
  const own = new Set(setup.agents.map(({ name }) => name))
  const elsewhere = modelsElsewhere(mesh, own)
  const models = [...new Set([...named.chains.flatMap((chain) => chain.models), ...elsewhere.keys()])]
  const providers = new Set(models.map((name) => name.slice(0, name.indexOf("/"))))
  const seen = await survey(only(setup, providers), { named: { ...named, models } })
  const checks = [
    ...named.bad.map(({ where, message }) =>
      bad("models", `${where}: ${message}`, "name models as provider/model, or by an alias that defineModels has"),
    ),
    ...checkInstructed(setup),
    ...checkStates(seen.models, { chains: named.chains, elsewhere }),
    ...checkPrices(seen.models, { chains: named.chains, limits: mesh?.limits ?? BUDGET_DEFAULTS }),
    ...checkLimited(setup),
  ]
  return checks.some(({ ok }) => !ok) ? checks : [...whatAnswers(seen), ...checks]
}

function whatAnswers({ models, providers }: Survey): Check[] {
  const answering = providers.filter(({ answers }) => answers).map(({ provider }) => provider)
  if (answering.length === 0) return []
  return [fine("models", `${counted(models.length, "model")}; providers that answer: ${listed(answering)}`)]
}

/** The providers that nobody names are left in peace. */
function only(setup: Setup, providers: ReadonlySet<string>): Setup {
  return {
    ...setup,
    gateways: setup.gateways.filter(({ provider }) => providers.has(provider)),
    unusable: new Map([...setup.unusable].filter(([provider]) => providers.has(provider))),
  }
}

/** Models that agents of living nodes ask, with the agents: of those whose files were not given. */
function modelsElsewhere(mesh: MeshMinds | undefined, own: ReadonlySet<string>): Map<string, Set<string>> {
  const agents = new Map<string, Set<string>>()
  for (const { name, models } of mesh?.nodes.flatMap((node) => node.agents) ?? []) {
    if (own.has(name)) continue
    for (const model of models) agents.set(model, (agents.get(model) ?? new Set()).add(name))
  }
  return agents
}

function checkInstructed({ agents, models }: Setup): Check[] {
  const without = agents.filter((agent) => agent.instructions !== undefined && namedModels(agent, models).length === 0)
  if (without.length === 0) return []
  const names = listed(without.map(({ name }) => name))
  const fix = 'name one: "model" of defineAgent, or "default" of defineModels'
  return [bad("models", `instructions, and no model to follow them: ${names}`, fix)]
}

/** What nodes have seen of providers. */
function checkProviders(mesh: MeshMinds | undefined): Check[] {
  const seen = mesh?.nodes.flatMap(({ id, providers }) => providers.map((one) => ({ id, ...one }))) ?? []
  return seen
    .filter(({ circuit }) => circuit !== "closed")
    .map(({ id, provider, calls, failures }) =>
      bad(
        "providers",
        `${id} leaves "${provider}" alone: it failed again and again (${failures} of ${counted(calls, "request")})`,
        `see what it says: murmur models ask ${provider}/<model> hello`,
      ),
    )
}
