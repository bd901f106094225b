import type { NatsConnection } from "@nats-io/transport-node"
import { MurmurError } from "../errors.js"
import { type LoginOptions, readLogin } from "./login.js"

/** Where and how to reach the servers of a mesh. */
export interface ConnectionOptions extends LoginOptions {
  /** `nats://host:port`, or several, comma-separated. `nats://user:password@host` and `nats://token@host` log in. */
  readonly url: string
  /** Shown by the server's own tools. */
  readonly name: string
  /** How long the first connection may take, in milliseconds. Default 5_000. Later reconnects go on for ever. */
  readonly connectTimeoutMs?: number | undefined
}

/** A connection, and under which prefix its replies come. */
export interface Connected {
  readonly connection: NatsConnection
  readonly inboxPrefix: string | undefined
}

/** The oldest server that has pinned consumers, consumer reset and message schedules. */
export const SERVER_FLOOR = "2.14.0"

/**
 * Connects, and refuses a server below the floor.
 *
 * @throws MurmurError `BUS_CONNECT` when nobody answers or lets this client in, `BUS_CREDS`, `SERVER_TOO_OLD`, `SERVER_NO_JETSTREAM`
 */
export async function connectNats(options: ConnectionOptions): Promise<Connected> {
  const { connect } = await import("@nats-io/transport-node")
  const { servers, login: byUrl } = readUrl(options.url)
  const { settings, inboxPrefix } = await readLogin(options)
  let connection: NatsConnection
  try {
    connection = await connect({
      servers,
      name: options.name,
      timeout: options.connectTimeoutMs ?? 5_000,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
      reconnectJitter: 250,
      pingInterval: 5_000, // a server that stands still is left within 15 s
      maxPingOut: 2,
      noAsyncTraces: true,
      ...("authenticator" in settings ? {} : byUrl),
      ...settings,
      ...(inboxPrefix !== undefined && { inboxPrefix }),
    })
  } catch (cause) {
    throw cannotConnect(options.url, cause as Error)
  }
  try {
    checkServer(connection.info)
  } catch (error) {
    await connection.close()
    throw error
  }
  return { connection, inboxPrefix }
}

function cannotConnect(url: string, cause: Error): MurmurError {
  const hint =
    cause.name === "AuthorizationError"
      ? "The server does not know this user: --creds, --nkey (or NATS_CREDS, NATS_NKEY) name another"
      : isTlsTrouble(cause)
        ? "--tlsca (or NATS_CA) names the authority of the server's certificate"
        : 'Is the server running? "murmur up" starts one; "--nats <url>" or NATS_URL names another'
  return new MurmurError(`Cannot connect to NATS at ${redactUrl(url)}: ${cause.message}. ${hint}`, {
    code: "BUS_CONNECT",
    cause,
  })
}

function isTlsTrouble(cause: Error): boolean {
  const { code = "" } = (cause.cause ?? cause) as { code?: unknown }
  return /CERT|SELF_SIGNED|ISSUER|TLS/.test(String(code)) || /certificate|tls/i.test(cause.message)
}

/** The servers of a url, and who logs in to them: the client itself does not read that from a url. */
function readUrl(url: string): { servers: string[]; login: { user?: string; pass?: string; token?: string } } {
  let login = {}
  const servers = url.split(",").map((part) => {
    const [, scheme = "", userInfo, rest = ""] = /^([a-z]+:\/\/)?(?:([^@/]*)@)?(.*)$/.exec(part.trim()) ?? []
    if (userInfo !== undefined) login = readUserInfo(userInfo)
    return scheme + rest
  })
  return { servers, login }
}

function readUserInfo(userInfo: string): { user: string; pass: string } | { token: string } {
  const at = userInfo.indexOf(":")
  if (at < 0) return { token: decode(userInfo) }
  return { user: decode(userInfo.slice(0, at)), pass: decode(userInfo.slice(at + 1)) }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** A url without its user and password, for messages. */
export function redactUrl(url: string): string {
  return url.replace(/(^|\/\/|,\s*)[^@/,]*@/g, "$1***@")
}

/** @throws MurmurError `SERVER_TOO_OLD` or `SERVER_NO_JETSTREAM` */
export function checkServer(info: { version: string; jetstream?: boolean } | undefined): void {
  const version = info?.version ?? "0.0.0"
  if (!atLeast(version, SERVER_FLOOR)) {
    throw new MurmurError(
      `Cannot use nats-server ${version}: murmur needs ${SERVER_FLOOR} or newer. Upgrade the server, or run "murmur up" without --nats to use one that murmur brings`,
      { code: "SERVER_TOO_OLD", details: { found: version, wanted: SERVER_FLOOR } },
    )
  }
  if (info?.jetstream !== true) {
    throw new MurmurError(
      `Cannot use nats-server ${version}: JetStream is not enabled. Start it with "-js" or a "jetstream {}" block`,
      {
        code: "SERVER_NO_JETSTREAM",
      },
    )
  }
}

/** Compares dotted versions; a pre-release counts as its release. */
export function atLeast(version: string, floor: string): boolean {
  const parts = (text: string): number[] => text.replace(/^v/, "").split(/[.-]/).slice(0, 3).map(Number)
  const [found, wanted] = [parts(version), parts(floor)]
  for (let i = 0; i < 3; i++) {
    const difference = (found[i] || 0) - (wanted[i] || 0)
    if (difference !== 0) return difference > 0
  }
  return true
}

/** What the client keeps to itself of a connection. */
interface Encrypting {
  readonly protocol?: { readonly transport?: { isEncrypted?(): boolean } }
}

/** Whether what is said to the server is encrypted. */
export function isEncrypted(connection: NatsConnection): boolean {
  // the client knows and does not tell; without its telling, what the server asks of everybody
  const { protocol, info } = connection as NatsConnection & Encrypting
  return protocol?.transport?.isEncrypted?.() ?? info?.tls_required === true
}
