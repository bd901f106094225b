import type { EventDraft } from "../../bus/event.js"
import { derivedId } from "../../bus/ids.js"
import { ensureError, MurmurError } from "../../errors.js"
import type { SourceContext } from "../source.js"
import { FileChanged, FileCreated, type FileData, FileDeleted } from "./events.js"
import { type Found, findRoot, hashFile, inspect } from "./inspect.js"
import type { FileEntry, Manifest } from "./manifest.js"

const AT_ONCE = 16

/** What a {@link Reconciler} works on. */
export interface ReconcilerOptions {
  readonly root: string
  readonly manifest: Manifest
  readonly filesMax: number
  /** Files smaller than this are hashed; 0 hashes none. */
  readonly hashBelowBytes: number
  /** Told once, when the work cannot go on. */
  onFailure(error: Error): void
}

/** Why a path is looked at. */
export type Occasion =
  /** Something happened to it just now. */
  | "live"
  /** It was found at the start: equal times mean that it is the same. */
  | "scan"
  /** First start: remember it and say nothing. */
  | "remember"

type PresentFile = Extract<Found, { kind: "file" }> & { sha256: string | undefined }

/**
 * Compares paths with what the mesh was last told of them, and publishes the difference. It does not matter what the
 * watcher thinks has happened, or how often: created then deleted is no difference, deleted then created is a change,
 * and so is an editor's save by rename. Each path is looked at by one worker at a time, at most 16 paths at once; the
 * manifest changes only after the publish was acked.
 */
export class Reconciler {
  readonly #ctx: SourceContext
  readonly #options: ReconcilerOptions
  readonly #queue = new Map<string, Occasion>()
  readonly #active = new Set<string>()
  readonly #waiters: (() => void)[] = []
  #stopped = false

  constructor(ctx: SourceContext, options: ReconcilerOptions) {
    this.#ctx = ctx
    this.#options = options
  }

  /** Has the path looked at. The queue holds a path once, however often it is asked for. */
  look(path: string, occasion: Occasion): void {
    if (this.#stopped) return
    this.#queue.set(path, occasion)
    this.#pump()
  }

  /** Resolves when no path waits and none is being looked at; false when that is because the work was given up. */
  async idle(): Promise<boolean> {
    if (this.#queue.size > 0 || this.#active.size > 0) {
      await new Promise<void>((resolve) => this.#waiters.push(resolve))
    }
    return !this.#stopped
  }

  /** Takes up nothing more; resolves when what was begun is done. What was left is found by the next start. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#queue.clear()
    await this.idle()
  }

  #pump(): void {
    for (const [path, occasion] of this.#queue) {
      if (this.#active.size >= AT_ONCE) return
      if (this.#active.has(path)) continue
      this.#queue.delete(path)
      this.#active.add(path)
      void this.#reconcile(path, occasion)
        .catch((error: unknown) => this.#fail(ensureError(error)))
        .finally(() => this.#done(path))
    }
    if (this.#queue.size === 0 && this.#active.size === 0) for (const resolve of this.#waiters.splice(0)) resolve()
  }

  #done(path: string): void {
    this.#active.delete(path)
    this.#pump()
  }

  #fail(error: Error): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#queue.clear()
    this.#options.onFailure(error)
  }

  async #reconcile(path: string, occasion: Occasion): Promise<void> {
    const { root, manifest, filesMax } = this.#options
    const known = manifest.get(path)
    const found = await inspect(root, path)
    if (found.kind === "unreadable") {
      this.#ctx.log.warn({ path, err: found.error }, "cannot look at a file; what is known of it stands")
      return
    }
    if (found.kind === "missing") return known === undefined ? undefined : this.#gone(path, known, occasion)
    const sameTimes = known?.sizeBytes === found.sizeBytes && known.mtimeMs === found.mtimeMs
    if (occasion === "scan" && sameTimes) return
    const file: PresentFile = { ...found, sha256: await this.#hash(path, found.sizeBytes) }
    const changed = known === undefined || differs(known, file, sameTimes)
    if (changed && occasion !== "remember") await this.#ctx.publish(this.#present(path, file, known))
    manifest.set(path, { ...file, bornMs: known?.bornMs ?? file.ctimeMs })
    if (manifest.count > filesMax) throw tooMany(root, filesMax)
  }

  async #gone(path: string, known: FileEntry, occasion: Occasion): Promise<void> {
    const { root, manifest } = this.#options
    // A tree that vanished as a whole (a drive unplugged) is a fault, not the deletion of all its files.
    await findRoot(this.#ctx.name, root)
    if (occasion !== "remember") {
      const id = `fs:${derivedId(this.#ctx.name, path, "gone", known.bornMs)}`
      await this.#ctx.publish(FileDeleted(fileData(root, path, known), { id }))
    }
    manifest.delete(path)
  }

  /**
   * The id names the state that the path is in, not the difference: told twice, it is stored once. The change time is
   * part of it, because a file that was moved away and back is the same to the byte and is news all the same.
   */
  #present(path: string, file: PresentFile, known: FileEntry | undefined): EventDraft {
    const event = known === undefined ? FileCreated : FileChanged
    const { sizeBytes, mtimeMs, ctimeMs, sha256 } = file
    const id = `fs:${derivedId(this.#ctx.name, path, "present", sizeBytes, mtimeMs, ctimeMs, sha256 ?? "")}`
    return event(fileData(this.#options.root, path, file), { id })
  }

  async #hash(path: string, sizeBytes: number): Promise<string | undefined> {
    if (sizeBytes >= this.#options.hashBelowBytes) return undefined
    try {
      return await hashFile(this.#options.root, path)
    } catch (error) {
      this.#ctx.log.warn({ path, err: error }, "cannot read a file to hash it; going by its size and time")
      return undefined
    }
  }
}

function differs(known: FileEntry, file: PresentFile, sameTimes: boolean): boolean {
  if (known.sha256 === undefined || file.sha256 === undefined) return !sameTimes
  return known.sha256 !== file.sha256
}

function fileData(root: string, path: string, file: Omit<FileEntry, "bornMs">): FileData {
  const data: FileData = {
    root,
    path,
    sizeBytes: file.sizeBytes,
    modifiedAt: new Date(file.mtimeMs).toISOString(),
  }
  if (file.sha256 !== undefined) data.sha256 = file.sha256
  return data
}

function tooMany(root: string, filesMax: number): MurmurError {
  return new MurmurError(
    `Cannot watch ${root}: at most ${filesMax} files are wanted (filesMax), and it has more. Ignore folders that nobody needs, or raise filesMax`,
    { code: "SOURCE_PATH", details: { root, filesMax } },
  )
}
