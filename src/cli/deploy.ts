import { createInterface } from "node:readline/promises"
import type { Bus } from "../bus/bus.js"
import type { BusOptions } from "../bus/bus-core.js"
import type { RetentionOptions } from "../bus/stream-configs.js"
import { MeshNames, type StreamLayout } from "../bus/subjects.js"
import type { Plan } from "../node/deployment/plan.js"
import type { DeployOptions } from "../node/deployment/wanted.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { showPlan } from "./deploy/show-plan.js"
import { Output, warn } from "./output.js"
import { pathsOrDefault } from "./paths.js"
import { usageError } from "./usage.js"

/** Options of `murmur deploy`. */
export interface DeployCommandOptions {
  readonly plan?: boolean
  readonly yes?: boolean
  readonly agents?: readonly string[]
  readonly replicas?: 1 | 3 | 5
  readonly eventsAge?: number
  readonly eventsSize?: number
  readonly dedupWindow?: number
  readonly layout?: StreamLayout
  readonly prune?: boolean
  readonly pruneSessions?: boolean
}

/**
 * `murmur deploy [paths...]`: makes all that the agents and sources of these files need of a mesh, so that nodes need no right
 * to. Shows what it would do first, and asks.
 */
export async function deploy(cli: Cli, [paths]: [string[]], options: DeployCommandOptions): Promise<void> {
  checkOptions(options)
  const wanted = await readWanted(pathsOrDefault(paths), options)
  const work = async (bus: Bus, signal: AbortSignal): Promise<void> => {
    const { applyPlan, planDeployment, refuse } = await import("../node/deployment/deploy.js")
    const plan = await planDeployment(bus, wanted)
    const pending = plan.changes.some(({ action }) => action !== "none")
    const blocked = [...plan.refusals, ...plan.cautions]
    const may = !options.plan && blocked.length === 0
    const asks = may && pending && !options.yes
    const goes = may && (!asks || (await agreed(plan)))
    const told = goes ? await applyPlan(plan, signal) : []
    await report(cli, plan, { applied: goes, shown: asks, told })
    refuse(plan.mesh, blocked)
  }
  await withMesh(cli.options, work, {
    open: (connect) => openDeployer(connect, options.layout),
    check: false,
    deadlineMs: Number.POSITIVE_INFINITY,
    patient: !options.yes,
  })
}

/** @throws MurmurError `USAGE` */
function checkOptions({ plan, yes, prune, pruneSessions }: DeployCommandOptions): void {
  if (pruneSessions && !prune) throw usageError("--prune-sessions goes with --prune")
  if (plan || yes || (process.stdin.isTTY && process.stderr.isTTY)) return
  throw usageError("add --yes to deploy where nobody can be asked, or --plan to see what would be done")
}

async function readWanted(paths: readonly string[], options: DeployCommandOptions): Promise<DeployOptions> {
  const [{ Loader }, { selectNamed }] = await Promise.all([import("../node/loader.js"), import("../node/selection.js")])
  const loaded = await new Loader(paths).load()
  const { agents, sources } = selectNamed(loaded, options.agents)
  const retention: RetentionOptions = {
    ...(options.replicas !== undefined && { replicas: options.replicas }),
    ...(options.eventsAge !== undefined && { eventsAgeMsMax: options.eventsAge }),
    ...(options.eventsSize !== undefined && { eventsBytesMax: options.eventsSize }),
    ...(options.dedupWindow !== undefined && { dedupWindowMs: options.dedupWindow }),
  }
  const keep = [...loaded.agents, ...loaded.sources].map(({ name }) => name)
  const { prune = false, pruneSessions = false } = options
  return { agents, sources, retention, prune, pruneSessions, keep }
}

/** A mesh that is there keeps its layout, unless another is asked for; a new one can be confined by rights. */
async function openDeployer(options: BusOptions, layout: StreamLayout | undefined): Promise<Bus> {
  const [{ Bus }, { openLink, withLayout }, { streamInfo }] = await Promise.all([
    import("../bus/bus.js"),
    import("../bus/bus-core.js"),
    import("../bus/streams.js"),
  ])
  const link = await openLink(options)
  const { events } = new MeshNames(options.mesh ?? "murmur")
  const isNew = !link.rights.restricted && (await streamInfo(link.manager, events)) === undefined
  return new Bus(link, await withLayout(link, { ...options, layout: layout ?? (isNew ? "agent" : undefined) }))
}

async function agreed(plan: Plan): Promise<boolean> {
  await showPlan(plan, new Output(process.stderr))
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await asking.question(`Deploy to mesh "${plan.mesh}"? [y/N] `)).trim())
  } finally {
    asking.close()
  }
}

async function report(
  { options, out }: Cli,
  plan: Plan,
  { applied, shown, told }: { readonly applied: boolean; readonly shown: boolean; readonly told: readonly string[] },
): Promise<void> {
  const { stages: _, ...facts } = plan
  if (options.json) return out.json({ ...facts, applied, warnings: [...plan.warnings, ...told] })
  if (!shown) await showPlan(plan, out)
  for (const warning of told) warn(warning)
  const pending = plan.changes.some(({ action }) => action !== "none")
  if (pending && (applied || shown)) await out.line(applied ? "Deployed." : "Nothing was done.")
}
