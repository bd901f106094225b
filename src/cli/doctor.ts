import type { BusCore } from "../bus/bus-core.js"
import { ensureError, MurmurError } from "../errors.js"
import { readLimits } from "../node/guards.js"
import { readMesh } from "../node/mesh-view.js"
import type { Cli } from "./cli.js"
import { stateFolder, withMesh } from "./connect.js"
import { bad, type Check, fine } from "./doctor/check.js"
import { checkExporters } from "./doctor/exporters.js"
import { checkAccount, checkCopies, checkPayload, checkRoom } from "./doctor/limits.js"
import { checkRights, checkTls, checkUrl } from "./doctor/login.js"
import { checkBinary, checkCreds, checkDisk, checkNode, checkSecrets } from "./doctor/machine.js"
import { checkMesh, checkNodes } from "./doctor/mesh.js"
import { checkMinds, type MeshMinds } from "./doctor/minds.js"
import { askServers, checkMonitored, checkSync } from "./doctor/monitor.js"
import { checkClock, checkFormat, checkStreams } from "./doctor/server.js"
import { counted, printable } from "./text.js"

/** Options of `murmur doctor`. */
export interface DoctorOptions {
  /** Monitoring addresses of the servers. */
  readonly monitor?: readonly string[]
}

/** `murmur doctor [paths...]`: looks at everything, says what is wrong and how to mend it. Fails when something is wrong. */
export async function doctor(cli: Cli, [paths]: [string[]], options: DoctorOptions): Promise<void> {
  const { login, nats } = cli.options
  const checks: Check[] = [checkNode(), await checkBinary(nats === undefined)]
  if (nats === undefined) checks.push(await checkDisk())
  checks.push(checkSecrets(), ...checkUrl(nats))
  const file = login.credsFile ?? login.nkeyFile
  if (file !== undefined) checks.push(await checkCreds(file))
  checks.push(...(await checkExporters()))
  const server = await checkServer(cli, paths, options)
  checks.push(...server.checks, ...(await checkMinds(paths, server.mesh)))
  if (cli.options.json) await cli.out.json(checks)
  else await show(cli, checks)
  const failed = checks.filter(({ ok }) => !ok)
  if (failed.length === 0) return
  const names = [...new Set(failed.map(({ check }) => check))].join(", ")
  throw new MurmurError(`${counted(failed.length, "check")} failed: ${names}`, {
    code: "DOCTOR",
  })
}

/** What a connection shows; `mesh` only where there is one. */
interface ServerChecks {
  readonly checks: readonly Check[]
  readonly mesh?: MeshMinds
}

/** What can only be seen with a connection; without one, why there is none. */
async function checkServer({ options }: Cli, paths: readonly string[], own: DoctorOptions): Promise<ServerChecks> {
  const { findRunningServer } = await import("../bus/server/running.js")
  const running = await findRunningServer(stateFolder())
  const local = options.nats === undefined || running?.url === options.nats ? running?.monitorUrl : undefined
  const monitors = own.monitor ?? (local === undefined ? [] : [local])
  try {
    return await withMesh(options, (bus) => checkBus(bus, paths, monitors), { check: false })
  } catch (thrown) {
    const error = ensureError(thrown)
    const fix =
      options.nats === undefined ? 'start a mesh here: "murmur up"' : "start that server, or name another with --nats"
    return { checks: [bad("connection", error.message, fix)] }
  }
}

async function checkBus(bus: BusCore, paths: readonly string[], monitors: readonly string[]): Promise<ServerChecks> {
  const server = bus.link.connection.getServer()
  const checks = [
    fine("connection", `nats-server ${bus.serverVersion} at ${server}`),
    ...[checkTls(bus), checkPayload(bus), await checkRights(bus, paths)],
  ]
  if (bus.link.rights.restricted) {
    const state = await readMesh(bus)
    const note = "streams, consumers and copies were not looked at: log in as the deployer for these"
    return { checks: [...checks, checkNodes(state), fine("mesh", "seen with a node's rights", note)] }
  }
  const servers = await askServers(monitors, bus)
  checks.push(await checkAccount(bus), checkSync(servers), ...checkMonitored(servers), await checkStreams(bus))
  if (checks.at(-1)?.detail.startsWith("missing") === true) return { checks }
  checks.push(await checkCopies(bus), await checkRoom(bus), await checkClock(bus))
  checks.push(...(await checkFormat(bus)), ...(await checkMesh(bus)))
  const [{ nodes }, limits] = await Promise.all([readMesh(bus), readLimits(bus)])
  return { checks, mesh: { nodes, limits } }
}

async function show({ out }: Cli, checks: readonly Check[]): Promise<void> {
  for (const { check, ok, detail, fix } of checks) {
    const mark = ok ? out.paint("green", "ok  ") : out.paint("red", "FAIL")
    await out.line(`${mark}  ${check.padEnd(13)}  ${printable(detail)}`)
    if (fix !== null)
      await out.line(out.paint("dim", `      ${" ".repeat(13)}  ${ok ? "note" : "fix"}: ${printable(fix)}`))
  }
}
