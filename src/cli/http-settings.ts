import { randomBytes } from "node:crypto"
import { MurmurError } from "../errors.js"

/** Where and for whom a node serves HTTP. What is missing is left to its defaults. */
export interface HttpSettings {
  readonly host?: string
  readonly port?: number
  readonly token?: string
}

/**
 * What the flags say, else `MURMUR_LISTEN` (`0.0.0.0:4300`), by which images and services set their address.
 *
 * An address of `MURMUR_LISTEN` needs no `MURMUR_TOKEN`, unlike one of a flag: without one nobody can publish over HTTP
 * there, while health and metrics are served, so that an image is of use before somebody thinks of a token.
 *
 * @throws MurmurError `HTTP_LISTEN` when `MURMUR_LISTEN` is not an address and a port
 */
export function httpSettings(flags: { host?: string; port?: number }, env: NodeJS.ProcessEnv): HttpSettings {
  const listen = parseListen(env.MURMUR_LISTEN)
  const { host = listen?.host, port = listen?.port } = flags
  const closed = flags.host === undefined && listen !== undefined
  const token = env.MURMUR_TOKEN || (closed ? randomBytes(32).toString("base64url") : undefined)
  return { ...(host && { host }), ...(port !== undefined && { port }), ...(token && { token }) }
}

function parseListen(text: string | undefined): { host: string; port: number } | undefined {
  if (!text) return undefined
  const [, ipv6, name, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text) ?? []
  const host = ipv6 ?? name
  const port = Number(digits)
  if (host !== undefined && port <= 65_535) return { host, port }
  throw new MurmurError(
    `Cannot serve HTTP: MURMUR_LISTEN must be an address and a port, such as 0.0.0.0:4300 or [::]:4300, is ${JSON.stringify(text)}`,
    { code: "HTTP_LISTEN" },
  )
}
