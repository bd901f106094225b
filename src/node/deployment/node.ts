import type { Bus } from "../../bus/bus.js"
import { combineRoutes } from "../../router/combine.js"
import { readRecords } from "../../router/route-bucket.js"
import { RouteTable } from "../../router/table.js"
import type { Log } from "../../telemetry/ports.js"
import { openBuckets } from "../buckets.js"
import { requireInCatalogue } from "../catalogue.js"
import { deployConsumers } from "./consumers.js"
import { applyPlan, planDeployment, refuse } from "./deploy.js"
import { checkStamp, STAMP_KEY } from "./stamp.js"
import { type DeployOptions, wantedOf } from "./wanted.js"

/**
 * Looks what a mesh lacks of what a node hosts; what is returned makes it. A node without the right to make it finds it
 * deployed.
 *
 * @throws MurmurError `NOT_DEPLOYED`, `MESH_TOO_NEW`, `DEPLOY_REFUSED`; what is returned as `applyPlan`
 */
export async function prepareForNode(
  bus: Bus,
  options: Pick<DeployOptions, "agents" | "sources" | "retention" | "gone">,
  log: Log,
): Promise<(signal: AbortSignal) => Promise<void>> {
  if (bus.link.rights.restricted) {
    await requireDeployed(bus, options, log)
    return async () => {}
  }
  const plan = await planDeployment(bus, { ...options, ahead: false })
  refuse(plan.mesh, plan.refusals)
  for (const caution of plan.cautions) log.warn({}, caution)
  return async (signal) => {
    for (const told of await applyPlan(plan, signal)) log.warn({}, told)
  }
}

/** Where the code declares something else than what was deployed, as for a while in a rolling update, the log says so. */
async function requireDeployed(bus: Bus, options: DeployOptions, log: Log): Promise<void> {
  const { agents, sources, routes } = wantedOf(options)
  const buckets = await openBuckets(bus)
  checkStamp(bus.names.mesh, (await buckets.settings.get(STAMP_KEY))?.value)
  const names = agents.map(({ agent }) => agent.name)
  const table = RouteTable.from(combineRoutes(routes, await readRecords(buckets.routes), names))
  for (const { record } of agents) {
    await requireInCatalogue(buckets.catalogue, record, log)
    await deployConsumers(bus, table, record)
  }
  for (const record of sources) await requireInCatalogue(buckets.catalogue, record, log)
}
