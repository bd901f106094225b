import { execFile } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { aptMirrors } from "./apt-sources.js"
import { cachedPath, putIntoCache } from "./cache.js"
import { download } from "./download.js"
import { DEBIAN_POOL, DEBIAN_VERSION } from "./pins.js"
import type { Setting } from "./ways.js"

/** A machine lists the same archive under few names; everyone else's archives answer 404 anyway. */
const MIRRORS_MAX = 3

/**
 * Fetches the distribution's package into the cache, from a mirror that this machine's own package manager uses. It needs
 * no root: the package is unpacked, not installed.
 *
 * @returns the server's path
 * @throws Error with the reason in plain words
 */
export async function fetchDebian(setting: Setting): Promise<string> {
  const mirrors = aptMirrors(setting.aptRoot).slice(0, MIRRORS_MAX)
  if (mirrors.length === 0) throw new Error("this machine has no apt sources over http or https")
  const name = `nats-server_${DEBIAN_VERSION}-1_${setting.platform.arch}.deb`
  const sha256 = setting.debianDigests[name]
  if (sha256 === undefined || setting.platform.os !== "linux") throw new Error(`no digest is known for ${name}`)
  const archive = await fromFirst(mirrors, name, sha256, setting)
  setting.onProgress?.({ phase: "unpack", detail: name })
  const target = cachedPath(setting.cacheRoot, DEBIAN_VERSION, setting.platform)
  return putIntoCache(target, (folder) => unpack(archive, folder, setting.signal), setting.signal)
}

async function fromFirst(mirrors: readonly string[], name: string, sha256: string, setting: Setting): Promise<Buffer> {
  const reasons: string[] = []
  for (const mirror of mirrors) {
    try {
      return await download(`${mirror}/${DEBIAN_POOL}/${name}`, { ...setting, sha256 })
    } catch (error) {
      setting.signal?.throwIfAborted()
      reasons.push((error as Error).message)
    }
  }
  throw new Error(reasons.join("; "))
}

async function unpack(archive: Buffer, folder: string, signal: AbortSignal | undefined): Promise<string> {
  const file = join(folder, "package.deb")
  await writeFile(file, archive, { signal })
  await promisify(execFile)("dpkg-deb", ["-x", file, join(folder, "root")], { signal })
  return join(folder, "root", "usr", "sbin", "nats-server")
}
