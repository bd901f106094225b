import { existsSync } from "node:fs"

/** The files and folders that were named; without any the folders that `murmur init` makes, where they are. */
export function pathsOrDefault(paths: readonly string[]): readonly string[] {
  return paths.length > 0 ? paths : ["agents", "sources"].filter((folder) => existsSync(folder))
}
