import type { Bus } from "../../bus/bus.js"
import type { BusCore } from "../../bus/bus-core.js"
import { isEncrypted } from "../../bus/connection.js"
import { ensureError } from "../../errors.js"
import { bad, type Check, fine, listed } from "./check.js"

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[?::1\]?)$/i

/** Whether what is said to a server on another machine is encrypted. */
export function checkTls(bus: BusCore): Check {
  const server = bus.link.connection.getServer()
  const host = server.replace(/:\d+$/, "")
  if (isEncrypted(bus.link.connection)) return fine("tls", `the connection to ${server} is encrypted`)
  if (LOOPBACK.test(host)) return fine("tls", "not used, and not needed: the server is on this machine")
  const fix = 'give the servers certificates ("murmur auth init --tls <host>"), and their authority to clients: --tlsca'
  return bad("tls", `the connection to ${server} is not encrypted: the network reads events and may change them`, fix)
}

/** A password in a url shows in the list of processes, in shell histories, in configurations. */
export function checkUrl(url: string | undefined): Check[] {
  if (url === undefined || !/(^|\/\/|,\s*)[^@/,]+@/.test(url)) return []
  const fix = "log in by a file instead: --nkey or --creds (NATS_NKEY, NATS_CREDS)"
  return [bad("login", "a password or token stands in the url of the server, where many can read it", fix)]
}

/** What this identity may do: everything, or, for a node, what the agents of these files need. */
export async function checkRights(bus: BusCore, paths: readonly string[]): Promise<Check> {
  const { rights } = bus.link
  if (!rights.restricted) return fine("rights", "may make streams and consumers")
  const who = `user "${rights.user}" may not make streams and consumers`
  if (paths.length === 0)
    return fine(
      "rights",
      who,
      'a node may not; name files to see whether it may do what they need: "murmur doctor agents"',
    )
  try {
    const missing = (await neededBy(bus, paths)).filter((subject) => !rights.mayPublish(subject))
    if (missing.length === 0) return fine("rights", `${who}, and all that these agents need`)
    return bad(
      "rights",
      `${who}; these agents need also ${listed(missing)}`,
      "murmur auth add-node <name> <paths>, then reload the servers",
    )
  } catch (error) {
    return bad("rights", `${who}; what these agents need is not known: ${ensureError(error).message}`, "mend the files")
  }
}

async function neededBy({ names }: Pick<Bus, "names">, paths: readonly string[]): Promise<readonly string[]> {
  const [{ Loader }, { compileRights }, { declarationOf }] = await Promise.all([
    import("../../node/loader.js"),
    import("../../node/rights/compile.js"),
    import("../../node/rights/declaration.js"),
  ])
  return compileRights(names, declarationOf(await new Loader(paths).load())).publish
}
