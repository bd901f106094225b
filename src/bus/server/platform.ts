import { homedir } from "node:os"
import { join } from "node:path"

/** An operating system and processor, in the words of the server's releases: `linux`, `arm64`. */
export interface Platform {
  readonly os: string
  readonly arch: string
}

const SYSTEMS: Readonly<Record<string, string>> = { win32: "windows" }
const PROCESSORS: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386", arm: "arm7", ppc64: "ppc64le" }

/** This machine. */
export function thisPlatform(): Platform {
  return {
    os: SYSTEMS[process.platform] ?? process.platform,
    arch: PROCESSORS[process.arch] ?? process.arch,
  }
}

/** The server's file name on this platform. */
export function executableName(platform: Platform): string {
  return platform.os === "windows" ? "nats-server.exe" : "nats-server"
}

/**
 * The folder under which fetched servers are kept: `MURMUR_CACHE_DIR`, else what the system says caches belong in.
 * Below it lies `nats-server/<version>/<os>-<arch>/`.
 */
export function cacheRoot(env: NodeJS.ProcessEnv, platform: Platform): string {
  if (env.MURMUR_CACHE_DIR) return env.MURMUR_CACHE_DIR
  const home = env.HOME || homedir()
  if (platform.os === "windows") return join(env.LOCALAPPDATA || join(home, "AppData", "Local"), "murmur")
  if (platform.os === "darwin") return join(home, "Library", "Caches", "murmur")
  return join(env.XDG_CACHE_HOME || join(home, ".cache"), "murmur")
}
