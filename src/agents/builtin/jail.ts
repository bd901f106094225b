import { constants, type Stats } from "node:fs"
import { type FileHandle, open, realpath, stat } from "node:fs/promises"
import { basename, dirname, isAbsolute, join, relative, resolve, sep, win32 } from "node:path"
import { ensureError, errorCode, TerminalError } from "../../errors.js"
import { refused, wrong } from "./options.js"

const PATH_CHARS_MAX = 4_096
const { O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants

/**
 * A folder that nothing leads out of: no `..`, no absolute path, no symbolic link. Every path is resolved by the file
 * system itself, and what was opened is compared with what lies at the resolved path.
 */
export class Jail {
  constructor(
    private readonly tool: string,
    private readonly root: string,
  ) {}

  /** @throws MurmurError `TOOL_OPTION` */
  static of(tool: string, root: unknown): Jail {
    if (typeof root === "string" && root !== "" && !root.includes("\0")) return new Jail(tool, resolve(root))
    return wrong(tool, `root must be a folder, is ${JSON.stringify(root)}`)
  }

  /**
   * Opens a file for reading.
   *
   * @throws TerminalError `TOOL_REFUSED`, `TOOL_FILE`
   */
  async openFile(path: string): Promise<{ readonly file: FileHandle; readonly stats: Stats }> {
    const real = await this.#real(path, this.#inside(path))
    // without NONBLOCK the opening of a pipe waits for somebody who writes
    const file = await this.#attempt(path, () => open(real, constants.O_RDONLY | O_NOFOLLOW | O_NONBLOCK))
    try {
      const stats = await file.stat()
      if (!stats.isFile()) throw this.refused(path, "it is no file")
      await this.#mustStillBe(path, real, stats)
      return { file, stats }
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /**
   * Where a file may be written: in a folder that is inside and is there.
   *
   * @throws TerminalError `TOOL_REFUSED`, `TOOL_FILE`
   */
  async placeOf(path: string): Promise<{ readonly folder: string; readonly name: string }> {
    const wanted = this.#inside(path)
    const name = basename(wanted)
    const folder = await this.#real(path, dirname(wanted))
    return { folder, name }
  }

  /** Folders that a path goes through, from the root down; none when it lies in the root. */
  foldersOf(path: string): string[] {
    const inner = dirname(relative(this.root, this.#inside(path)))
    if (inner === ".") return []
    const parts = inner.split(sep)
    return parts.map((_, index) => parts.slice(0, index + 1).join(sep))
  }

  /** Does something with a file of the jail. @throws TerminalError `TOOL_FILE` where the file system refuses */
  attempt<T>(path: string, work: () => Promise<T>): Promise<T> {
    return this.#attempt(path, work)
  }

  refused(path: string, why: string): TerminalError {
    return refused(this.tool, `${JSON.stringify(path.slice(0, 200))}: ${why}`)
  }

  /** The path as it is written, checked before the file system is asked. */
  #inside(path: string): string {
    if (path.includes("\0")) throw this.refused(path, "it holds a NUL character")
    if (path === "" || path.length > PATH_CHARS_MAX) {
      throw this.refused(path, `a path must have 1 to ${PATH_CHARS_MAX} characters`)
    }
    if (isAbsolute(path) || win32.isAbsolute(path) || /^[A-Za-z]:/.test(path)) {
      throw this.refused(path, "a path must be relative to the root")
    }
    if (path.split(/[\\/]/).includes("..")) throw this.refused(path, 'a path may not hold ".."')
    if (/[\\/]$/.test(path)) throw this.refused(path, "it names a folder")
    const wanted = join(this.root, path)
    if (wanted === this.root) throw this.refused(path, "it is the root itself")
    return wanted
  }

  /** The path as the file system resolves it. */
  async #real(path: string, wanted: string): Promise<string> {
    const root = await this.#attempt(path, () => realpath(this.root))
    const real = await this.#attempt(path, () => realpath(wanted))
    const inner = relative(root, real)
    if (inner === ".." || inner.startsWith(`..${sep}`) || isAbsolute(inner)) {
      throw this.refused(path, "a link leads out of the root")
    }
    return real
  }

  /** Somebody may have put another file in its place, or a link. */
  async #mustStillBe(path: string, real: string, opened: Stats): Promise<void> {
    const again = await this.#real(path, this.#inside(path))
    const there = await this.#attempt(path, () => stat(again))
    if (again === real && there.ino === opened.ino && there.dev === opened.dev) return
    throw this.refused(path, "it was replaced while it was opened")
  }

  async #attempt<T>(path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (cause) {
      if (cause instanceof TerminalError) throw cause
      if (errorCode(cause) === "ELOOP") throw this.refused(path, "it is a link")
      throw new TerminalError(`Tool "${this.tool}" cannot use ${JSON.stringify(path)}: ${reason(cause)}`, {
        code: "TOOL_FILE",
        details: { tool: this.tool, path, error: errorCode(cause) },
      })
    }
  }
}

/** Without the path as it lies on the disk: that is nobody's business. */
function reason(cause: unknown): string {
  switch (errorCode(cause)) {
    case "ENOENT":
      return "there is no such file or folder"
    case "ENOTDIR":
      return "part of it is no folder"
    case "EACCES":
    case "EPERM":
      return "the file system allows it to nobody of ours"
    case "ERROR":
      return ensureError(cause).message
    default:
      return errorCode(cause)
  }
}
