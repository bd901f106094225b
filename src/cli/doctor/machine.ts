import { existsSync } from "node:fs"
import { stat, statfs } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import { SERVER_FLOOR } from "../../bus/connection.js"
import { DOWNLOAD_LIMITS } from "../../bus/server/download.js"
import { cacheRoot, thisPlatform } from "../../bus/server/platform.js"
import { fromCache, fromName, fromPath, type Setting } from "../../bus/server/ways.js"
import { ensureError } from "../../errors.js"
import { VERSION } from "../../node/version.js"
import { stateFolder } from "../connect.js"
import { bad, type Check, fine } from "./check.js"

const NODE_FLOOR = [20, 19] as const
const GIBI = 1024 ** 3
const FREE_MIN = GIBI
const SECRET_MIN = 16

/** The Node that runs this. */
export function checkNode(version = process.versions.node): Check {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  const [wantedMajor, wantedMinor] = NODE_FLOOR
  const detail = `Node ${version}, murmur ${VERSION}`
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return fine("node", detail)
  return bad("node", detail, `install Node ${wantedMajor}.${wantedMinor} or newer`)
}

/** The nats-server that `murmur up` would run. Looks only: nothing is fetched. */
export async function checkBinary(embedded: boolean, env = process.env): Promise<Check> {
  const name = "nats-server"
  if (env.NATS_SERVER_BIN) {
    try {
      const { path, version } = await fromName(env.NATS_SERVER_BIN, "NATS_SERVER_BIN")
      return fine(name, `${version} at ${path} (NATS_SERVER_BIN)`)
    } catch (error) {
      return bad(
        name,
        ensureError(error).message,
        `name a nats-server ${SERVER_FLOOR} or newer in NATS_SERVER_BIN, or unset it`,
      )
    }
  }
  const reasons: string[] = []
  for (const look of [fromPath, fromCache]) {
    try {
      const { path, version } = await look(lookOnly(env))
      return fine(name, `${version} at ${path}`)
    } catch (error) {
      reasons.push(ensureError(error).message)
    }
  }
  const advice = embedded ? '"murmur up" fetches one, once; offline, install one or name it in NATS_SERVER_BIN' : null
  return fine(name, `none on this machine yet (${reasons.join("; ")})`, advice)
}

/** Where to look. What is for fetching is left empty: a doctor fetches nothing. */
function lookOnly(env: NodeJS.ProcessEnv): Setting {
  const platform = thisPlatform()
  const fetching = { aptRoot: "", releaseBase: "", releaseDigests: {}, debianDigests: {}, limits: DOWNLOAD_LIMITS }
  return { env, platform, cacheRoot: cacheRoot(env, platform), ...fetching, signal: undefined, onProgress: undefined }
}

/** Room for the store of the local server. */
export async function checkDisk(): Promise<Check> {
  let folder = resolve(stateFolder())
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder)
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  const detail = `${(free / GIBI).toFixed(1)} GiB free for ${resolve(stateFolder())}`
  if (free >= FREE_MIN) return fine("disk", detail)
  return bad("disk", detail, "free some space, or put the store elsewhere with MURMUR_DIR")
}

/** Secrets in the environment of this shell; nodes have their own. */
export function checkSecrets(env = process.env): Check {
  const found: string[] = []
  const wrong: string[] = []
  for (const name of ["GITHUB_WEBHOOK_SECRET", "GITLAB_WEBHOOK_SECRET", "MURMUR_TOKEN"]) {
    const value = env[name]
    const secrets = name === "MURMUR_TOKEN" ? [value ?? ""] : (value ?? "").split(",")
    const used = secrets.map((secret) => secret.trim()).filter((secret) => secret !== "")
    if (value !== undefined && used.length === 0) wrong.push(`${name} is set and empty`)
    else if (used.some((secret) => secret.length < SECRET_MIN))
      wrong.push(`${name} is shorter than ${SECRET_MIN} characters`)
    found.push(`${name} ${used.length === 0 ? "not set" : used.length === 1 ? "set" : `set (${used.length})`}`)
  }
  const detail = `in this shell: ${found.join(", ")}`
  if (wrong.length > 0)
    return bad("secrets", wrong.join("; "), "set it to a long random text, such as of: openssl rand -hex 32")
  return fine("secrets", detail, "a webhook without its secret refuses what it gets; nodes read their own environment")
}

/** Who may read the credentials file. */
export async function checkCreds(file: string): Promise<Check> {
  try {
    const { mode } = await stat(file)
    const open = process.platform !== "win32" && (mode & 0o077) !== 0
    const detail = `${file} has mode ${(mode & 0o777).toString(8)}`
    return open ? bad("credentials", `${detail}: others can read it`, `chmod 600 ${file}`) : fine("credentials", detail)
  } catch (error) {
    return bad("credentials", `cannot read ${file}: ${ensureError(error).message}`, "name the right file with --creds")
  }
}
