import type { Bus } from "../../bus/bus.js"
import { MurmurError } from "../../errors.js"
import { openBucket } from "../buckets.js"
import { checkNames } from "../hosted.js"
import { VERSION } from "../version.js"
import { planCatalogue } from "./catalogue.js"
import { hastyPartitions, olderNodes, refusedPartitions } from "./checks.js"
import { planConsumers } from "./consumers.js"
import { type Found, readFound } from "./found.js"
import { planInboxes } from "./inboxes.js"
import { planLayout } from "./layout.js"
import { isChange, type Plan, type PlannedChange, type Stage, toCreate, toUpdate, unchanged } from "./plan.js"
import { planPrune } from "./prune.js"
import { planRoutes } from "./routes.js"
import { checkStamp, MESH_FORMAT, readStamp, STAMP_KEY, stampOfThis } from "./stamp.js"
import { planStores } from "./stores.js"
import { planStreams } from "./streams.js"
import { type DeployOptions, type Wanted, wantedOf } from "./wanted.js"

/**
 * Says what has to be done so that a mesh has all that some agents and sources need. Nothing is changed.
 *
 * @throws MurmurError `DEPLOY_RIGHTS` without the right to make streams and consumers, `MESH_TOO_NEW`, `NODE_TWICE`
 * @example
 * const plan = await planDeployment(bus, { agents, sources })
 * if (plan.refusals.length === 0) await applyPlan(plan, signal)
 */
export async function planDeployment(bus: Bus, options: DeployOptions): Promise<Plan> {
  checkNames(options)
  checkRights(bus)
  const wanted = wantedOf(options)
  const found = await readFound(bus)
  checkStamp(bus.names.mesh, found.settings.get(STAMP_KEY))
  const [layout, streams, prune, partitions] = await Promise.all([
    planLayout(bus, wanted, found),
    planStreams(bus, wanted),
    planPrune(bus, wanted, found),
    refusedPartitions(bus, wanted, found),
  ])
  const stages = [
    layout.stage,
    streams.stage,
    await planStores(bus, wanted),
    planStamp(bus, wanted, found),
    planCatalogue(bus, wanted, found),
    await planRoutes(bus, wanted, found),
    await planConsumers(bus, wanted, found),
    planInboxes(bus, wanted, found),
    prune.stage,
  ]
  return {
    mesh: bus.names.mesh,
    layout: bus.names.layout,
    version: VERSION,
    changes: stages.flatMap(({ changes }) => changes),
    refusals: [...layout.refusals, ...streams.refusals, ...prune.refusals, ...partitions],
    cautions: hastyPartitions(wanted, found),
    warnings: olderNodes(wanted, found),
    stages,
  }
}

/**
 * Does what a plan says, in its order. May be broken off and done again, beside running nodes and other deployments.
 *
 * @returns what an operator should know of it, a sentence each
 * @throws MurmurError `DEPLOY_REFUSED` for a plan with refusals, `STREAM_MIGRATE`, `CONSUMER_SETUP`, `BUCKET_OPEN`
 */
export async function applyPlan(
  plan: Pick<Plan, "mesh" | "stages" | "refusals">,
  signal: AbortSignal,
): Promise<string[]> {
  refuse(plan.mesh, plan.refusals)
  const told: string[] = []
  for (const { changes, apply } of plan.stages) if (changes.some(isChange)) told.push(...(await apply(signal)))
  return told
}

/** @throws MurmurError `DEPLOY_REFUSED` */
export function refuse(mesh: string, reasons: readonly string[]): void {
  if (reasons.length === 0) return
  throw new MurmurError(`Cannot deploy to mesh "${mesh}": ${reasons.join(". ")}`, {
    code: "DEPLOY_REFUSED",
    details: { reasons },
  })
}

function checkRights({ link, names }: Bus): void {
  if (!link.rights.restricted) return
  throw new MurmurError(
    `Cannot deploy to mesh "${names.mesh}": user "${link.rights.user}" has no right to make streams and consumers. Log in with the deployer's credentials (--creds or --nkey)`,
    { code: "DEPLOY_RIGHTS", details: { user: link.rights.user } },
  )
}

/** A node leaves the stamp of the last deployment, as long as it is of its own form. */
function planStamp(bus: Bus, { options }: Wanted, { settings }: Found): Stage {
  const stamp = readStamp(settings.get(STAMP_KEY))
  const change = ((): PlannedChange => {
    if (stamp === undefined) return toCreate("setting", STAMP_KEY)
    const differences = [
      { setting: "format", found: stamp.format, wanted: MESH_FORMAT },
      ...(options.ahead ? [{ setting: "version", found: stamp.version, wanted: VERSION }] : []),
    ]
    const different = differences.filter(({ found, wanted }) => found !== wanted)
    return different.length === 0 ? unchanged("setting", STAMP_KEY) : toUpdate("setting", STAMP_KEY, different)
  })()
  const apply = async (): Promise<string[]> => {
    await (await openBucket(bus, "settings")).put(STAMP_KEY, stampOfThis())
    return []
  }
  return { changes: [change], apply }
}
