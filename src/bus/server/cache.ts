import { existsSync } from "node:fs"
import { chmod, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises"
import { dirname, join } from "node:path"
import { executableName, type Platform } from "./platform.js"
import { probeVersion } from "./probe.js"

/** Where a version of the server is kept. The platform is part of the path: homes are shared between machines. */
export function cachedPath(root: string, version: string, platform: Platform): string {
  return join(root, "nats-server", version, `${platform.os}-${platform.arch}`, executableName(platform))
}

/** The versions that the cache holds for this platform, newest first. */
export async function cachedVersions(root: string, platform: Platform): Promise<string[]> {
  const names = await readdir(join(root, "nats-server")).catch(() => [])
  const present = names.filter((version) => existsSync(cachedPath(root, version, platform)))
  return present.sort((a, b) => b.localeCompare(a, "en", { numeric: true }))
}

/**
 * Puts an executable into the cache: `write` makes it in a folder of its own, it is run once, then moved to its place in
 * one rename. Nobody ever sees half a file, two processes may do it at the same time, and a failure leaves nothing.
 *
 * @param write puts the executable into this folder and returns its path
 * @returns its path in the cache
 */
export async function putIntoCache(
  target: string,
  write: (folder: string) => Promise<string>,
  signal?: AbortSignal,
): Promise<string> {
  await mkdir(dirname(target), { recursive: true })
  const folder = await mkdtemp(join(dirname(target), ".unpacking-"))
  try {
    const made = await write(folder)
    await chmod(made, 0o755)
    await probeVersion(made, signal)
    await moveInto(target, made)
    return target
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function moveInto(target: string, made: string): Promise<void> {
  try {
    await rename(made, target)
  } catch (error) {
    // Windows does not replace a program that runs: then somebody was quicker, and theirs is the same by its digest.
    if (!existsSync(target)) throw error
  }
}
