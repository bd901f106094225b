import type { BusCore } from "../../bus/bus-core.js"
import { bad, type Check, fine, listed } from "./check.js"

/** What a server says of itself, of what is looked at here. */
export interface Varz {
  readonly server_name?: string
  readonly version?: string
  readonly connections?: number
  readonly max_connections?: number
  readonly jetstream?: { readonly config?: { readonly sync_always?: boolean } }
}

/** A server that was asked, and what it said; `undefined` when it did not answer. */
export interface Monitored {
  readonly name: string
  readonly varz: Varz | undefined
}

const ASK_MS = 2_000
const NEAR = 0.8

/** Asks servers at their monitoring addresses; without any, over NATS, which answers only where the account may ask. */
export async function askServers(urls: readonly string[], bus: BusCore): Promise<Monitored[]> {
  if (urls.length > 0) return Promise.all(urls.map(async (url) => ({ name: url, varz: await askByHttp(url) })))
  const varz = await askByNats(bus)
  return varz === undefined ? [] : [{ name: varz.server_name ?? bus.link.connection.getServer(), varz }]
}

async function askByHttp(url: string): Promise<Varz | undefined> {
  try {
    const answer = await fetch(new URL("/varz", url), { signal: AbortSignal.timeout(ASK_MS) })
    return answer.ok ? ((await answer.json()) as Varz) : undefined
  } catch {
    return undefined
  }
}

async function askByNats({ link }: BusCore): Promise<Varz | undefined> {
  if (link.rights.restricted) return undefined
  try {
    const reply = await link.connection.request("$SYS.REQ.SERVER.PING.VARZ", "", { timeout: ASK_MS })
    return reply.json<{ data?: Varz }>().data
  } catch {
    return undefined // only the system account, or one that it lets ask
  }
}

/** Whether an ack means disk, on every server that tells. */
export function checkSync(servers: readonly Monitored[]): Check {
  const name = "sync interval"
  const fix = 'set "sync_interval: always" in the jetstream block of each server\'s configuration'
  const told = servers.filter(({ varz }) => varz?.jetstream?.config !== undefined)
  const seldom = told.filter(({ varz }) => varz?.jetstream?.config?.sync_always !== true)
  if (seldom.length > 0) {
    return bad(
      name,
      `not always: a power cut can lose what was acknowledged (${listed(seldom.map((one) => one.name))})`,
      fix,
    )
  }
  if (told.length > 0) return fine(name, "always: an ack means disk")
  const how =
    'give the monitoring addresses of the servers (--monitor http://host:8222), or look for "sync_interval: always" in the jetstream block of each configuration'
  return fine(name, "not known: the server does not tell over NATS", how)
}

/** Servers that were named and do not answer, and those with little room for connections. */
export function checkMonitored(servers: readonly Monitored[]): Check[] {
  const silent = servers.filter(({ varz }) => varz === undefined).map(({ name }) => name)
  const full = servers.flatMap(({ name, varz: { connections = 0, max_connections: max = 0 } = {} }) =>
    max > 0 && connections > NEAR * max ? [`${name}: ${connections} of ${max}`] : [],
  )
  return [
    ...(silent.length === 0
      ? []
      : [
          bad(
            "monitor",
            `no answer: ${listed(silent)}`,
            "name the right address (--monitor http://host:8222), or start that server",
          ),
        ]),
    ...(full.length === 0
      ? []
      : [
          bad(
            "connections",
            `nearly all in use: ${listed(full)}`,
            "raise max_connections, or let fewer clients connect",
          ),
        ]),
  ]
}
