import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { cachedPath, putIntoCache } from "./cache.js"
import { download } from "./download.js"
import { RELEASE_VERSION } from "./pins.js"
import { executableName, type Platform } from "./platform.js"
import { fileFromTarGz } from "./untar.js"
import { fileFromZip } from "./unzip.js"
import type { Setting } from "./ways.js"

/**
 * Fetches the server from its official release into the cache.
 *
 * @returns its path
 * @throws Error with the reason in plain words
 */
export async function fetchRelease(setting: Setting): Promise<string> {
  const { platform, signal, onProgress } = setting
  const name = archiveName(platform)
  const sha256 = await digestOf(name, setting)
  const archive = await download(`${setting.releaseBase}/${name}`, { ...setting, sha256 })
  onProgress?.({ phase: "unpack", detail: name })
  const target = cachedPath(setting.cacheRoot, RELEASE_VERSION, platform)
  return putIntoCache(
    target,
    async (folder) => {
      const executable = executableName(platform)
      const unpack = name.endsWith(".zip") ? fileFromZip : fileFromTarGz
      const path = join(folder, executable)
      await writeFile(path, unpack(archive, executable), { signal })
      return path
    },
    signal,
  )
}

function archiveName({ os, arch }: Platform): string {
  return `nats-server-v${RELEASE_VERSION}-${os}-${arch}.${os === "windows" ? "zip" : "tar.gz"}`
}

/** Pinned here, or in the release's own list, which is pinned. */
async function digestOf(name: string, setting: Setting): Promise<string> {
  const pinned = setting.releaseDigests[name]
  if (pinned !== undefined) return pinned
  const sums = setting.releaseDigests.SHA256SUMS
  if (sums === undefined) throw new Error(`no digest is known for ${name}`)
  const list = await download(`${setting.releaseBase}/SHA256SUMS`, { ...setting, sha256: sums })
  for (const line of list.toString("utf8").split("\n")) {
    const [digest, file] = line.trim().split(/\s+\*?/)
    if (file === name && digest !== undefined) return digest.toLowerCase()
  }
  throw new Error(`the release has no ${name}`)
}
