import { constants } from "node:fs"
import { access } from "node:fs/promises"
import { relative, sep } from "node:path"
import { errorCode, MurmurError } from "../../errors.js"
import type { Log } from "../../telemetry/ports.js"

/** What a watch reports. Paths are relative to the root, with forward slashes. */
export interface WatchOptions {
  readonly root: string
  readonly isIgnored: (path: string) => boolean
  readonly log: Log
  /** A file was found, or something happened to it. */
  onFile(path: string): void
  /** All files that were there at the start have been reported. */
  onReady(): void
  onFailure(error: Error): void
}

/** Watches a tree until the returned function is called. It only says which paths to look at, not what happened to them. */
export async function watchFiles(options: WatchOptions): Promise<() => Promise<void>> {
  const { root, log } = options
  // Loaded when a tree is watched, so that the command line starts without it.
  const { watch } = await import("chokidar")
  const pathOf = (file: string): string => relative(root, file).split(sep).join("/")
  const watcher = watch(root, {
    ignored: (file) => file !== root && options.isIgnored(pathOf(file)),
    followSymlinks: false,
    // Saves by rename are seen through by comparing states, see Reconciler.
    atomic: false,
    ignorePermissionErrors: true,
  })
  for (const event of ["add", "change", "unlink"] as const) watcher.on(event, (file) => options.onFile(pathOf(file)))
  watcher.on("addDir", (folder) => void warnUnreadable(folder, log))
  watcher.on("unlinkDir", (folder) => {
    // Nothing is watched any more. Once the folder is back, the next run compares it with what is remembered.
    if (folder === root) options.onFailure(rootGone(root))
  })
  watcher.on("ready", () => options.onReady())
  watcher.on("error", (error) => {
    const limit = limitError(root, error)
    if (limit === undefined) log.warn({ root, err: error }, "trouble while watching files; going on")
    else options.onFailure(limit)
  })
  return () => watcher.close()
}

async function warnUnreadable(folder: string, log: Log): Promise<void> {
  try {
    await access(folder, constants.R_OK | constants.X_OK)
  } catch (error) {
    if (errorCode(error) !== "ENOENT")
      log.warn({ folder, err: error }, "cannot read a folder; its files are not watched")
  }
}

function rootGone(root: string): MurmurError {
  return new MurmurError(`Cannot go on watching ${root}: the folder is gone. Bring it back or correct "path"`, {
    code: "SOURCE_PATH",
    details: { path: root },
  })
}

function limitError(root: string, error: unknown): MurmurError | undefined {
  const code = errorCode(error)
  if (code !== "ENOSPC" && code !== "EMFILE") return undefined
  const setting = code === "ENOSPC" ? "fs.inotify.max_user_watches" : "fs.inotify.max_user_instances and ulimit -n"
  return new MurmurError(
    `Cannot watch ${root}: the system allows no more watches (${code}). Raise ${setting}, ignore folders that nobody needs, or set CHOKIDAR_USEPOLLING=1`,
    { code: "SOURCE_WATCH", cause: error, details: { root } },
  )
}
