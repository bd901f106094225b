import { MurmurError } from "../../errors.js"
import { SERVER_FLOOR } from "../connection.js"
import { cachedPath } from "./cache.js"
import { fetchDebian } from "./debian.js"
import { DOWNLOAD_LIMITS } from "./download.js"
import { checkKeys, optionError } from "./options.js"
import { DEBIAN_DIGESTS, DEBIAN_VERSION, RELEASE_BASE, RELEASE_DIGESTS, RELEASE_VERSION } from "./pins.js"
import { cacheRoot, thisPlatform } from "./platform.js"
import type { OnProgress } from "./progress.js"
import { fetchRelease } from "./release.js"
import { type Found, fromCache, fromName, fromPath, type Setting } from "./ways.js"

/** Options of {@link ensureServerBinary}. */
export interface ServerBinaryOptions {
  /** Path or name of a binary to use and no other; stands above `NATS_SERVER_BIN`. */
  readonly bin?: string | undefined
  /** Told while something is fetched. */
  readonly onProgress?: OnProgress | undefined
  readonly signal?: AbortSignal | undefined
  /** Where `NATS_SERVER_BIN`, `PATH`, `MURMUR_CACHE_DIR` and the home folder are looked up. Default: this process's environment. */
  readonly env?: NodeJS.ProcessEnv | undefined
}

/** Which way led to a server. */
export type BinaryOrigin = "option" | "env" | "path" | "cache" | "release" | "debian"

/** A `nats-server` that runs on this machine and is new enough. */
export interface ServerBinary {
  readonly path: string
  readonly version: string
  readonly origin: BinaryOrigin
}

/** One way that did not lead to a server. */
interface Tried {
  readonly way: string
  readonly reason: string
}

/**
 * Finds a `nats-server` for this machine, or fetches one once: the option, `NATS_SERVER_BIN`, PATH, the cache, the
 * official release, the Debian package. What is fetched has a pinned SHA-256. A binary that somebody named is used or
 * refused, never passed over.
 *
 * @throws MurmurError `SERVER_BINARY` when no way led to one; it lists all of them with their reasons
 * @throws MurmurError `SERVER_TOO_OLD` when the one that was named is below the floor
 * @throws MurmurError `SERVER_OPTION`
 * @example
 * const { path, version } = await ensureServerBinary({ onProgress: (p) => process.stderr.write(`${p.phase} ${p.detail}\n`) })
 */
export async function ensureServerBinary(options: ServerBinaryOptions = {}): Promise<ServerBinary> {
  checkKeys("find nats-server", options, ["bin", "onProgress", "signal", "env"])
  const { bin, env = process.env, signal, onProgress } = options
  if (bin === "") throw optionError("find nats-server", '"bin" is empty; give a path, or leave it out')
  const platform = thisPlatform()
  return findServer(bin, {
    env,
    platform,
    cacheRoot: cacheRoot(env, platform),
    aptRoot: "/etc/apt",
    releaseBase: RELEASE_BASE,
    releaseDigests: RELEASE_DIGESTS,
    debianDigests: DEBIAN_DIGESTS,
    limits: DOWNLOAD_LIMITS,
    signal,
    onProgress,
  })
}

/** {@link ensureServerBinary} with all that it depends on given. */
export async function findServer(bin: string | undefined, setting: Setting): Promise<ServerBinary> {
  const { env, signal } = setting
  signal?.throwIfAborted()
  if (bin !== undefined) return { ...(await fromName(bin, 'the option "bin"', signal)), origin: "option" }
  if (env.NATS_SERVER_BIN) return { ...(await fromName(env.NATS_SERVER_BIN, "NATS_SERVER_BIN", signal)), origin: "env" }
  const ways: [BinaryOrigin, string, () => Promise<Found>][] = [
    ["path", "PATH", () => fromPath(setting)],
    ["cache", "cache", () => fromCache(setting)],
    ["release", `release v${RELEASE_VERSION}`, async () => fetched(await fetchRelease(setting), RELEASE_VERSION)],
    ["debian", `Debian package ${DEBIAN_VERSION}`, async () => fetched(await fetchDebian(setting), DEBIAN_VERSION)],
  ]
  const tried: Tried[] = []
  for (const [origin, way, go] of ways) {
    try {
      return { ...(await go()), origin }
    } catch (error) {
      signal?.throwIfAborted()
      tried.push({ way, reason: (error as Error).message })
    }
  }
  throw notFound(tried, setting)
}

const fetched = (path: string, version: string): Found => ({ path, version })

function notFound(tried: readonly Tried[], setting: Setting): MurmurError {
  const place = cachedPath(setting.cacheRoot, RELEASE_VERSION, setting.platform)
  const lines = [
    `Cannot find or fetch nats-server ${SERVER_FLOOR} or newer for ${setting.platform.os}-${setting.platform.arch}. Tried:`,
    ...tried.map(({ way, reason }) => `  - ${way}: ${reason}`),
    "Any of these helps: install nats-server and have it on PATH; name it in NATS_SERVER_BIN; " +
      `copy it to ${place}; use a running server with --nats <url> or NATS_URL; or run this once with network access`,
  ]
  return new MurmurError(lines.join("\n"), { code: "SERVER_BINARY", details: { tried } })
}
