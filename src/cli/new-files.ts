import { existsSync } from "node:fs"
import { mkdir, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { ensureError, MurmurError } from "../errors.js"

/**
 * Writes new files below a folder, all or none: where one of them exists nothing is written.
 *
 * @param files content by path from the folder
 * @returns the paths written
 * @throws MurmurError `FILE_EXISTS` with their names, `FILE_WRITE`
 */
export async function writeNewFiles(folder: string, files: Readonly<Record<string, string>>): Promise<string[]> {
  const paths = Object.keys(files)
  const taken = paths.filter((path) => existsSync(join(folder, path)))
  if (taken.length > 0) {
    throw new MurmurError(
      `Cannot write into "${folder}": ${taken.join(", ")} ${taken.length === 1 ? "exists" : "exist"} already, and nothing is overwritten`,
      { code: "FILE_EXISTS", details: { folder, taken } },
    )
  }
  try {
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), content, { flag: "wx" })
    }
  } catch (cause) {
    throw new MurmurError(`Cannot write into "${folder}": ${ensureError(cause).message}`, { code: "FILE_WRITE", cause })
  }
  return paths
}
