import { createHash } from "node:crypto"
import { MurmurError } from "../../errors.js"
import type { SourceState } from "../source.js"

/** What is remembered of one file: what the mesh was last told. */
export interface FileEntry {
  readonly sizeBytes: number
  readonly mtimeMs: number
  /** Change time when the file was first seen. Tells one life of a path from the next, so each deletion has its own id. */
  readonly bornMs: number
  readonly sha256: string | undefined
}

type Packed = [sizeBytes: number, mtimeMs: number, bornMs: number, sha256?: string]

const TREE = "tree"
const BUCKET = "files."
const BUCKET_BYTES_MAX = 512 * 1024
const WRITES_AT_ONCE = 8

/**
 * The files that the mesh knows of, kept in the source's state as up to 256 buckets by hash of the path: thousands of
 * files are a few hundred values, and one changed file rewrites one bucket. Only {@link Manifest.flush} writes.
 */
export class Manifest {
  readonly #state: SourceState
  readonly #root: string
  readonly #buckets = new Map<string, Map<string, FileEntry>>()
  readonly #dirty = new Set<string>()
  #count = 0

  private constructor(state: SourceState, root: string) {
    this.#state = state
    this.#root = root
  }

  /**
   * Reads what was remembered of the tree at `root`. `complete` says whether a whole tree had been remembered before;
   * a source that was pointed at another folder starts from nothing.
   */
  static async open(state: SourceState, root: string): Promise<{ manifest: Manifest; complete: boolean }> {
    const manifest = new Manifest(state, root)
    const tree = await state.get<{ root: string }>(TREE)
    for await (const [name, value] of state.entries<Record<string, Packed>>()) {
      if (!name.startsWith(BUCKET)) continue
      if (tree !== undefined && tree.root !== root) await state.delete(name)
      else manifest.#load(name, value)
    }
    return { manifest, complete: tree?.root === root }
  }

  get count(): number {
    return this.#count
  }

  get(path: string): FileEntry | undefined {
    return this.#buckets.get(bucketOf(path))?.get(path)
  }

  set(path: string, entry: FileEntry): void {
    const name = bucketOf(path)
    let bucket = this.#buckets.get(name)
    if (bucket === undefined) {
      bucket = new Map()
      this.#buckets.set(name, bucket)
    }
    if (!bucket.has(path)) this.#count += 1
    bucket.set(path, entry)
    this.#dirty.add(name)
  }

  delete(path: string): void {
    const name = bucketOf(path)
    if (!this.#buckets.get(name)?.delete(path)) return
    this.#count -= 1
    this.#dirty.add(name)
  }

  *paths(): Generator<string> {
    for (const bucket of this.#buckets.values()) yield* bucket.keys()
  }

  /** Writes the buckets that changed since. What cannot be written stays due for the next call. */
  async flush(): Promise<void> {
    const due = [...this.#dirty]
    this.#dirty.clear()
    const writer = async (): Promise<void> => {
      for (let name = due.pop(); name !== undefined; name = due.pop()) {
        try {
          await this.#write(name)
        } catch (error) {
          for (const left of [name, ...due.splice(0)]) this.#dirty.add(left)
          throw error
        }
      }
    }
    const results = await Promise.allSettled(Array.from({ length: WRITES_AT_ONCE }, writer))
    for (const result of results) if (result.status === "rejected") throw result.reason
  }

  /** Says that the whole tree is remembered: from here on a start finds what changed while the source was down. */
  async markComplete(): Promise<void> {
    await this.#state.put(TREE, { root: this.#root })
  }

  #load(name: string, value: Record<string, Packed>): void {
    const entries = Object.entries(value).map(
      ([path, [sizeBytes, mtimeMs, bornMs, sha256]]) => [path, { sizeBytes, mtimeMs, bornMs, sha256 }] as const,
    )
    this.#buckets.set(name, new Map(entries))
    this.#count += entries.length
  }

  async #write(name: string): Promise<void> {
    const bucket = this.#buckets.get(name)
    if (bucket === undefined || bucket.size === 0) return this.#state.delete(name)
    const value = Object.fromEntries([...bucket].map(([path, entry]) => [path, pack(entry)]))
    const bytes = Buffer.byteLength(JSON.stringify(value))
    if (bytes > BUCKET_BYTES_MAX) {
      throw new MurmurError(
        `Cannot remember the files of ${this.#root}: one of 256 parts of the list may have ${BUCKET_BYTES_MAX} bytes, has ${bytes}. Ignore folders that nobody needs, or watch them with several sources`,
        { code: "SOURCE_STATE", details: { root: this.#root, bytes, files: this.#count } },
      )
    }
    return this.#state.put(name, value)
  }
}

function pack(entry: FileEntry): Packed {
  const packed: Packed = [entry.sizeBytes, entry.mtimeMs, entry.bornMs]
  if (entry.sha256 !== undefined) packed.push(entry.sha256)
  return packed
}

function bucketOf(path: string): string {
  return BUCKET + createHash("sha256").update(path).digest("hex").slice(0, 2)
}
