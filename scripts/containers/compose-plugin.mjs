import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createJiti } from "jiti"
import { must } from "./run.mjs"

const VERSION = "2.26.1"
/** SHA-256 of Debian 13's packages, as in its signed index. They need the C library of Debian 12 or newer. */
const PACKAGES = {
  x64: ["amd64", "47681197cb2b1ab88206b42a1a92fc75f50d9530a6322d03494a473eed0408ea"],
  arm64: ["arm64", "bbafaa666f3e7fa00ad36f2a8bab889f1c791ca8743d674e7267a3d07203869c"],
}

/**
 * Compose v2 as a plugin of Docker's client: from the cache, else from the mirror that this machine's package manager
 * uses. It is unpacked, not installed.
 *
 * @returns {Promise<string>} the plugin's path
 * @throws Error with the reason
 */
export async function composePlugin() {
  const [arch, sha256] = PACKAGES[process.arch] ?? []
  if (process.platform !== "linux" || arch === undefined) {
    throw new Error(`no package is known for ${process.platform} ${process.arch}`)
  }
  const load = createJiti(import.meta.url)
  const { cacheRoot, thisPlatform } = await load.import("../../src/bus/server/platform.ts")
  const home = join(cacheRoot(process.env, thisPlatform()), "docker-compose", VERSION, `linux-${arch}`)
  const plugin = join(home, "docker-compose")
  if (existsSync(plugin)) return plugin
  const archive = await fetchPackage(load, `docker-compose_${VERSION}-4_${arch}.deb`, sha256)
  mkdirSync(home, { recursive: true })
  const folder = mkdtempSync(join(home, ".unpacking-"))
  try {
    writeFileSync(join(folder, "package.deb"), archive)
    await must("dpkg-deb", ["-x", join(folder, "package.deb"), join(folder, "root")])
    const unpacked = join(folder, "root/usr/libexec/docker/cli-plugins/docker-compose")
    chmodSync(unpacked, 0o755)
    await must(unpacked, ["docker-cli-plugin-metadata"])
    renameSync(unpacked, plugin) // in one move: nobody ever sees half a file
    return plugin
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function fetchPackage(load, name, sha256) {
  const { aptMirrors } = await load.import("../../src/bus/server/apt-sources.ts")
  const { download } = await load.import("../../src/bus/server/download.ts")
  const reasons = []
  for (const mirror of aptMirrors().slice(0, 3)) {
    try {
      return await download(`${mirror}/pool/main/d/docker-compose/${name}`, { sha256 })
    } catch (error) {
      reasons.push(error.message)
    }
  }
  throw new Error(reasons.join("; ") || "this machine has no apt sources over http or https")
}
