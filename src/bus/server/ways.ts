import { existsSync } from "node:fs"
import { isAbsolute, join, resolve } from "node:path"
import { MurmurError } from "../../errors.js"
import { atLeast, SERVER_FLOOR } from "../connection.js"
import { cachedPath, cachedVersions } from "./cache.js"
import type { DownloadLimits } from "./download.js"
import type { Digests } from "./pins.js"
import { executableName, type Platform } from "./platform.js"
import { probeVersion } from "./probe.js"
import type { OnProgress } from "./progress.js"

/** All that the ways to a server depend on; tests give their own. */
export interface Setting {
  readonly env: NodeJS.ProcessEnv
  readonly platform: Platform
  readonly cacheRoot: string
  readonly aptRoot: string
  readonly releaseBase: string
  readonly releaseDigests: Digests
  readonly debianDigests: Digests
  readonly limits: DownloadLimits
  readonly signal: AbortSignal | undefined
  readonly onProgress: OnProgress | undefined
}

/** A server that was found, fit for use. */
export interface Found {
  readonly path: string
  readonly version: string
}

/**
 * A binary that somebody named. It is used or refused, never passed over for another one.
 *
 * @throws MurmurError `SERVER_BINARY` when it does not run, `SERVER_TOO_OLD`
 */
export async function fromName(name: string, namedBy: string, signal?: AbortSignal): Promise<Found> {
  const path = /[\\/]/.test(name) && !isAbsolute(name) ? resolve(name) : name
  let version: string
  try {
    version = await probeVersion(path, signal)
  } catch (cause) {
    signal?.throwIfAborted()
    throw new MurmurError(
      `Cannot use "${path}", named by ${namedBy}, as nats-server: ${(cause as Error).message}. Name a nats-server ${SERVER_FLOOR} or newer, or leave ${namedBy} out and murmur finds or fetches one`,
      { code: "SERVER_BINARY", cause, details: { path } },
    )
  }
  if (atLeast(version, SERVER_FLOOR)) return { path, version }
  throw new MurmurError(
    `Cannot use nats-server ${version} at "${path}", named by ${namedBy}: murmur needs ${SERVER_FLOOR} or newer. Upgrade it, or leave ${namedBy} out and murmur finds or fetches one`,
    { code: "SERVER_TOO_OLD", details: { path, found: version, wanted: SERVER_FLOOR } },
  )
}

/**
 * The first new enough server on PATH.
 *
 * @throws Error with the reason in plain words
 */
export async function fromPath(setting: Setting): Promise<Found> {
  const { env, platform, signal } = setting
  const separator = platform.os === "windows" ? ";" : ":"
  const folders = (env.PATH ?? env.Path ?? "").split(separator).filter((folder) => folder !== "")
  const reasons: string[] = []
  for (const folder of new Set(folders)) {
    const path = join(folder, executableName(platform))
    if (!existsSync(path)) continue
    try {
      const version = await probeVersion(path, signal)
      if (atLeast(version, SERVER_FLOOR)) return { path, version }
      reasons.push(`${path} is ${version}, wanted ${SERVER_FLOOR} or newer`)
    } catch (error) {
      signal?.throwIfAborted()
      reasons.push(`${path}: ${(error as Error).message}`)
    }
  }
  throw new Error(reasons.length > 0 ? reasons.join("; ") : "there is no nats-server in its folders")
}

/**
 * What an earlier run fetched.
 *
 * @throws Error with the reason in plain words
 */
export async function fromCache(setting: Setting): Promise<Found> {
  const reasons: string[] = []
  for (const name of await cachedVersions(setting.cacheRoot, setting.platform)) {
    const path = cachedPath(setting.cacheRoot, name, setting.platform)
    try {
      const version = await probeVersion(path, setting.signal)
      if (atLeast(version, SERVER_FLOOR)) return { path, version }
      reasons.push(`${path} is ${version}, wanted ${SERVER_FLOOR} or newer`)
    } catch (error) {
      setting.signal?.throwIfAborted()
      reasons.push(`${path}: ${(error as Error).message}`)
    }
  }
  throw new Error(reasons.length > 0 ? reasons.join("; ") : `${join(setting.cacheRoot, "nats-server")} holds none`)
}
