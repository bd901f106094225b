import { createHash } from "node:crypto"
import { constants } from "node:fs"
import { type FileHandle, lstat, open, realpath } from "node:fs/promises"
import { dirname, isAbsolute, join, relative, resolve } from "node:path"
import { ensureError, errorCode, MurmurError } from "../../errors.js"

/** What is at a path now. */
export type Found =
  | { readonly kind: "file"; readonly sizeBytes: number; readonly mtimeMs: number; readonly ctimeMs: number }
  /** Nothing, or something that is no file of this tree: a folder, a symbolic link, a socket. */
  | { readonly kind: "missing" }
  | { readonly kind: "unreadable"; readonly error: Error }

const GONE = ["ENOENT", "ENOTDIR", "ELOOP"]
const MISSING: Found = { kind: "missing" }

/**
 * The real, absolute path of the folder to watch.
 *
 * @throws MurmurError `SOURCE_PATH` when it is missing, is no folder, or may not be read
 */
export async function findRoot(source: string, path: string): Promise<string> {
  const wanted = resolve(path)
  const bad = (found: string, cause?: unknown): MurmurError =>
    new MurmurError(
      `Cannot watch files for source "${source}": ${wanted} must be a folder, ${found}. Create it or correct "path"`,
      { code: "SOURCE_PATH", cause, details: { path: wanted } },
    )
  try {
    const root = await realpath(wanted)
    if ((await lstat(root)).isDirectory()) return root
  } catch (error) {
    throw bad(errorCode(error) === "ENOENT" ? "but does not exist" : ensureError(error).message, error)
  }
  throw bad("but is something else")
}

/** Looks at one path of the tree. Links are never followed, also where a parent folder was swapped for one. */
export async function inspect(root: string, path: string): Promise<Found> {
  const file = join(root, path)
  try {
    if (!isInside(root, await realpath(dirname(file)))) return MISSING
    const stat = await lstat(file)
    if (!stat.isFile()) return MISSING
    return { kind: "file", sizeBytes: stat.size, mtimeMs: stat.mtimeMs, ctimeMs: stat.ctimeMs }
  } catch (error) {
    return GONE.includes(errorCode(error)) ? MISSING : { kind: "unreadable", error: ensureError(error) }
  }
}

/**
 * SHA-256 of a file in hex, in constant memory.
 *
 * @throws whatever opening or reading the file throws
 */
export async function hashFile(root: string, path: string): Promise<string> {
  // NOFOLLOW and NONBLOCK are for a file that is swapped for a link or a pipe between the look and the open.
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
  let handle: FileHandle | undefined
  try {
    handle = await open(join(root, path), flags)
    const hash = createHash("sha256")
    for await (const chunk of handle.createReadStream({ autoClose: false })) hash.update(chunk as Buffer)
    return hash.digest("hex")
  } finally {
    await handle?.close()
  }
}

function isInside(root: string, path: string): boolean {
  const way = relative(root, path)
  return way === "" || !(way === ".." || way.startsWith("../") || way.startsWith("..\\") || isAbsolute(way))
}
