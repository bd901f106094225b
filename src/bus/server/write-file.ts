import { renameSync, rmSync, writeFileSync } from "node:fs"

/** Writes a file in one step: readers see the old content or the new, never half of it. */
export function writeWhole(path: string, content: string): void {
  const fresh = `${path}.${process.pid}.tmp`
  writeFileSync(fresh, content, { mode: 0o600 })
  try {
    renameSync(fresh, path)
  } catch (error) {
    rmSync(fresh, { force: true })
    throw error
  }
}
