import { accessSync, constants, statSync } from "node:fs"
import { delimiter, join } from "node:path"

/** Where a program is that the node's own PATH has; relative folders on it do not count. */
export function findProgram(name: string, path = process.env.PATH ?? ""): string | undefined {
  const folders = path.split(delimiter).filter((folder) => folder.startsWith("/") || /^[A-Za-z]:[\\/]/.test(folder))
  const endings = process.platform === "win32" ? [".exe", ".com"] : [""]
  return folders.flatMap((folder) => endings.map((ending) => join(folder, name + ending))).find(isProgram)
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}
