import { chmodSync, cpSync, lutimesSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import type { Dependencies } from "./dependencies.js"

/** What else a build is given beside the agents' files. */
export interface BuildParts {
  /** The Dockerfile. */
  readonly text: string
  readonly dependencies: Dependencies | undefined
}

/**
 * Makes a folder for a build, works with it, and removes it. It holds the agents' files without what is no code of
 * theirs: installed packages, and all whose names begin with a dot (`.git`, `.env`, `.murmur`), which may be secret.
 */
export async function inBuildFolder(
  agents: string,
  { text, dependencies }: BuildParts,
  work: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "murmur-build-"))
  try {
    writeFileSync(join(folder, "Dockerfile"), text)
    cpSync(agents, join(folder, "agents"), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => path === agents || isTaken(basename(path)),
    })
    if (dependencies !== undefined) {
      mkdirSync(join(folder, "package"))
      writeFileSync(join(folder, "package", "package.json"), dependencies.manifest)
      if (dependencies.lock) writeFileSync(join(folder, "package", "package-lock.json"), dependencies.lock)
    }
    settle(join(folder, "agents"))
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

const isTaken = (name: string): boolean => name !== "node_modules" && !name.startsWith(".")

/** The node's user can read everything, and the same files make the same layer, whenever they were written. */
function settle(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const below = join(path, entry.name)
    if (entry.isDirectory()) settle(below)
    else if (entry.isFile()) chmodSync(below, 0o644)
    lutimesSync(below, 0, 0)
  }
  chmodSync(path, 0o755)
  lutimesSync(path, 0, 0)
}
