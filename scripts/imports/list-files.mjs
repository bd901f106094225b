import { readdirSync } from "node:fs"
import { join } from "node:path"

const SKIPPED = new Set(["node_modules", "dist", "coverage"])

/**
 * The TypeScript files below a folder, as paths from `root` with `/`, sorted. A folder that does not exist is empty.
 *
 * @param {string} root
 * @param {string} folder
 * @returns {string[]}
 */
export function listFiles(root, folder) {
  const files = []
  for (const entry of entriesOf(join(root, folder))) {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) {
      if (!SKIPPED.has(entry.name) && !entry.name.startsWith(".")) files.push(...listFiles(root, path))
    } else if (/\.m?tsx?$/.test(entry.name)) files.push(path)
  }
  return files.sort()
}

function entriesOf(folder) {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    if (error.code === "ENOENT") return []
    throw error
  }
}
