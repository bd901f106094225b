import { ensureError, MurmurError } from "../errors.js"

/** How a client shows who it is, and whom it trusts. Files are read once, when it connects. */
export interface LoginOptions {
  /** Credentials file (`.creds`), as NATS tools write it: a user's JWT and its nkey seed. */
  readonly credsFile?: string | undefined
  /** A file that holds the nkey seed of a user. */
  readonly nkeyFile?: string | undefined
  /** Certificates of the authorities whose servers are trusted (PEM). With it only TLS is used. Default: those of the system. */
  readonly caFile?: string | undefined
  /** The client's own certificate (PEM), where the servers ask for one. */
  readonly certFile?: string | undefined
  /** The key of that certificate (PEM). */
  readonly keyFile?: string | undefined
}

/** What the NATS client is given of a login. */
export interface Login {
  readonly settings: Record<string, unknown>
  /** Replies come under it. Own to this user, so that nobody else may read them; `undefined` for the client's default. */
  readonly inboxPrefix: string | undefined
}

const SEED = /\bSU[A-Z2-7]{56}\b/
const JWT = /\beyJ[\w-]+\.([\w-]+)\.[\w-]+/

/**
 * Reads the files of a login.
 *
 * @throws MurmurError `BUS_CREDS` when a file cannot be read or holds no seed
 */
export async function readLogin(options: LoginOptions): Promise<Login> {
  const tls = tlsOf(options)
  const { credsFile, nkeyFile } = options
  const file = credsFile ?? nkeyFile
  if (file === undefined) return { settings: tls, inboxPrefix: undefined }
  if (credsFile !== undefined && nkeyFile !== undefined) {
    throw unusable(file, "an nkey file is given as well: a client logs in by one of both")
  }
  const { credsAuthenticator, nkeyAuthenticator, nkeys } = await import("@nats-io/transport-node")
  const text = await read(file)
  const seed = SEED.exec(text)?.[0]
  if (seed === undefined) throw unusable(file, "it holds no seed of a user (SU...)")
  const bytes = Buffer.from(seed)
  const authenticator =
    credsFile === undefined ? nkeyAuthenticator(bytes) : credsAuthenticator(new TextEncoder().encode(text))
  const own = `_INBOX_${nkeys.fromSeed(bytes).getPublicKey()}`
  return { settings: { ...tls, authenticator }, inboxPrefix: mayRead(text, own) ? own : undefined }
}

/** A JWT says what its user may subscribe to; one that other tools made may know the default prefix only. */
function mayRead(creds: string, prefix: string): boolean {
  const payload = JWT.exec(creds)?.[1]
  if (payload === undefined) return true
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as {
    nats?: { sub?: { allow?: readonly string[] } }
  }
  const allowed = claims.nats?.sub?.allow
  return allowed === undefined || allowed.some((subject) => subject === ">" || subject === `${prefix}.>`)
}

function tlsOf({ caFile, certFile, keyFile }: LoginOptions): Record<string, unknown> {
  const tls = Object.fromEntries(
    Object.entries({ caFile, certFile, keyFile }).filter(([, file]) => file !== undefined && file !== ""),
  )
  return Object.keys(tls).length === 0 ? {} : { tls }
}

async function read(file: string): Promise<string> {
  const { readFile } = await import("node:fs/promises")
  try {
    return await readFile(file, "utf8")
  } catch (cause) {
    throw unusable(file, ensureError(cause).message, cause)
  }
}

function unusable(file: string, why: string, cause?: unknown): MurmurError {
  return new MurmurError(`Cannot read the credentials file "${file}": ${why}`, { code: "BUS_CREDS", cause })
}
