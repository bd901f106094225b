import { ensureError, MurmurError } from "../errors.js"
import { readLimits } from "../node/guards.js"
import { readMesh } from "../node/mesh-view.js"
import type { Cli } from "./cli.js"
import { stateFolder, withMesh } from "./connect.js"
import { bad, type Check, fine } from "./doctor/check.js"
import { checkBinary, checkCreds, checkDisk, checkNode, checkSecrets } from "./doctor/machine.js"
import { checkMesh } from "./doctor/mesh.js"
import { checkMinds, type MeshMinds } from "./doctor/minds.js"
import { checkClock, checkJetStream, checkStreams, checkSync } from "./doctor/server.js"
import { counted, printable } from "./text.js"

/** `murmur doctor [paths...]`: looks at everything, says what is wrong and how to mend it. Fails when something is wrong. */
export async function doctor(cli: Cli, [paths]: [string[]]): Promise<void> {
  const { login, nats } = cli.options
  const checks: Check[] = [checkNode(), await checkBinary(nats === undefined)]
  if (nats === undefined) checks.push(await checkDisk())
  checks.push(checkSecrets())
  if (login.credsFile !== undefined) checks.push(await checkCreds(login.credsFile))
  const server = await checkServer(cli)
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
async function checkServer({ options }: Cli): Promise<ServerChecks> {
  const { findRunningServer } = await import("../bus/server/running.js")
  const running = await findRunningServer(stateFolder())
  try {
    return await withMesh(
      options,
      async (bus): Promise<ServerChecks> => {
        const server = bus.link.connection.getServer()
        const local = options.nats === undefined || running?.url === options.nats ? running : undefined
        const checks = [fine("connection", `nats-server ${bus.serverVersion} at ${server}`)]
        checks.push(await checkJetStream(bus), await checkSync(local), await checkStreams(bus))
        if (checks.at(-1)?.detail.startsWith("missing") === true) return { checks }
        checks.push(await checkClock(bus), ...(await checkMesh(bus)))
        const [{ nodes }, limits] = await Promise.all([readMesh(bus), readLimits(bus)])
        return { checks, mesh: { nodes, limits } }
      },
      { check: false },
    )
  } catch (thrown) {
    const error = ensureError(thrown)
    const fix =
      options.nats === undefined ? 'start a mesh here: "murmur up"' : "start that server, or name another with --nats"
    return { checks: [bad("connection", error.message, fix)] }
  }
}

async function show({ out }: Cli, checks: readonly Check[]): Promise<void> {
  for (const { check, ok, detail, fix } of checks) {
    const mark = ok ? out.paint("green", "ok  ") : out.paint("red", "FAIL")
    await out.line(`${mark}  ${check.padEnd(13)}  ${printable(detail)}`)
    if (fix !== null)
      await out.line(out.paint("dim", `      ${" ".repeat(13)}  ${ok ? "note" : "fix"}: ${printable(fix)}`))
  }
}
