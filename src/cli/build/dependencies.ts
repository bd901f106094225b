import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { ensureError, MurmurError } from "../../errors.js"

/** What npm is given to install the packages that agents need. */
export interface Dependencies {
  /** Text of `package.json`. */
  readonly manifest: string
  /** Text of `package-lock.json`; without it npm takes the newest that fits. */
  readonly lock: string | undefined
}

/** Come with the node itself: an agent file that imports them gets the node's own. */
const SUPPLIED = ["murmur", "rxjs", "zod"]
const GROUPS = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"]

type Json = Record<string, unknown>
type Versions = Record<string, string>

/**
 * The packages that the agents of a folder need beside what a node brings; `undefined` when there are none. murmur itself
 * is left out: it is in the image, and on this machine it may be a link to a checkout.
 *
 * @throws MurmurError `BUILD_PACKAGE` when a file of npm's cannot be read
 */
export function dependenciesOf(folder: string): Dependencies | undefined {
  const manifest = readJson(join(folder, "package.json"))
  const { dependencies, optionalDependencies } = (manifest ?? {}) as Record<string, Versions | undefined>
  const needed = Object.keys({ ...dependencies, ...optionalDependencies }).filter((name) => !SUPPLIED.includes(name))
  if (manifest === undefined || needed.length === 0) return undefined
  const lock = readJson(join(folder, "package-lock.json"))
  return {
    manifest: JSON.stringify(withoutMurmur(manifest), null, 2),
    lock: lock && JSON.stringify(lockWithoutMurmur(lock), null, 2),
  }
}

function withoutMurmur(manifest: Json): Json {
  const groups = GROUPS.filter((group) => group in manifest).map((group) => {
    const { murmur: _, ...others } = manifest[group] as Versions
    return [group, others]
  })
  return { ...manifest, ...Object.fromEntries(groups) }
}

/** Also without what only a linked checkout of murmur brings: paths that lead out of the folder. */
function lockWithoutMurmur(lock: Json): Json {
  const packages = Object.entries((lock.packages ?? {}) as Record<string, Json>)
    .filter(([path]) => !/^(\.\.\/|node_modules\/murmur(\/|$))/.test(path))
    .map(([path, entry]) => [path, path === "" ? withoutMurmur(entry) : entry])
  return { ...lock, packages: Object.fromEntries(packages) }
}

function readJson(file: string): Json | undefined {
  if (!existsSync(file)) return undefined
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Json
  } catch (thrown) {
    const cause = ensureError(thrown)
    throw new MurmurError(`Cannot build: "${file}" is no JSON: ${cause.message}`, { code: "BUILD_PACKAGE", cause })
  }
}
