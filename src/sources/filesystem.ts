import type { Labels } from "../router/labels.js"
import { Debouncer } from "./filesystem/debouncer.js"
import { FileChanged, FileCreated, FileDeleted } from "./filesystem/events.js"
import { compileIgnore, type Ignore } from "./filesystem/ignore.js"
import { findRoot } from "./filesystem/inspect.js"
import { Manifest } from "./filesystem/manifest.js"
import { type Occasion, Reconciler } from "./filesystem/reconciler.js"
import { watchFiles } from "./filesystem/watch.js"
import { lifetime, writeRegularly } from "./lifetime.js"
import { checkKnown, checkOneOf, checkPath, checkRange } from "./options.js"
import { defineSource, type SourceContext, type SourceDefinition } from "./source.js"

/** Options of {@link filesystem}. */
export interface FilesystemOptions {
  /** The folder to watch, with all below it. Relative to the working folder of the process, or a `file:` URL such as `new URL("./specs", import.meta.url)`. */
  readonly path: string | URL
  /**
   * What to leave out. Patterns add to the defaults `.git`, `node_modules`, `.murmur`: `*.tmp` matches a name at any
   * depth, `build/**` counts from the root. A function gets the relative path of a file or folder and replaces the defaults.
   */
  readonly ignore?: Ignore
  /** How long a file must be left alone before it is looked at, in milliseconds. 60 to 60,000, default 100; one that never rests is looked at after ten times that. */
  readonly debounceMs?: number
  /**
   * Files smaller than this are hashed: `sha256` is set, and a file that was only touched makes no event. Default 0: none,
   * size and modification time decide.
   */
  readonly hashContentBelowBytes?: number
  /** At the first start of all: `changes` remembers the files that are there, `all` publishes `file.created` for each. Default `changes`. */
  readonly initial?: "changes" | "all"
  /** Labels of the node that sees these files. Default: any node may run it. */
  readonly nodeSelector?: Labels
  /** Most files in the tree; more is an error. Default 100,000. */
  readonly filesMax?: number
}

const KNOWN = ["path", "nodeSelector", "ignore", "debounceMs", "hashContentBelowBytes", "initial", "filesMax"]
const FLUSH_EVERY_MS = 1_000

interface Watching {
  readonly path: string
  readonly isIgnored: (path: string) => boolean
  readonly debounceMs: number
  readonly hashBelowBytes: number
  readonly initial: "changes" | "all"
  readonly filesMax: number
}

/**
 * A folder tree as a source of `file.created`, `file.changed` and `file.deleted`. What changed while it was down is found
 * at the next start. Symbolic links are neither followed nor reported. One node should watch a tree (`nodeSelector`, or
 * `murmur up --agents`): what is remembered belongs to the source's name.
 *
 * @throws MurmurError `SOURCE_OPTION`, `NAME_INVALID`; while it runs `SOURCE_PATH` (no such folder, or it vanished) and
 * `SOURCE_WATCH` (the system's limit on watches)
 * @example
 * export default filesystem("specs", { path: "./specs", ignore: ["*.tmp"] })
 */
export function filesystem(name: string, options: FilesystemOptions): SourceDefinition {
  const watching = checkOptions(name, options)
  return defineSource(name, {
    description: `Files below ${watching.path}`,
    nodeSelector: options.nodeSelector,
    emits: [FileCreated, FileChanged, FileDeleted],
    run: (ctx) => watchTree(ctx, watching),
  })
}

function checkOptions(name: string, options: FilesystemOptions): Watching {
  checkKnown(name, options, KNOWN)
  return {
    path: checkPath(name, "path", options.path),
    isIgnored: compileIgnore(name, options.ignore),
    // The watcher swallows changes that follow one another within 50 ms: look later than that.
    debounceMs: checkRange(name, "debounceMs", options.debounceMs ?? 100, 60, 60_000),
    hashBelowBytes: checkRange(name, "hashContentBelowBytes", options.hashContentBelowBytes ?? 0, 0, 2 ** 40),
    initial: checkOneOf(name, "initial", options.initial ?? "changes", ["changes", "all"]),
    filesMax: checkRange(name, "filesMax", options.filesMax ?? 100_000, 1, 1_000_000),
  }
}

async function watchTree(ctx: SourceContext, watching: Watching): Promise<void> {
  const root = await findRoot(ctx.name, watching.path)
  const { manifest, complete } = await Manifest.open(ctx.state, root)
  // With "all" each file that is not remembered yet is news, also when the first start is cut short.
  if (watching.initial === "all") await manifest.markComplete()
  const first: Occasion = complete || watching.initial === "all" ? "scan" : "remember"

  const life = lifetime(ctx.signal)
  const reconciler = new Reconciler(ctx, { ...watching, root, manifest, onFailure: life.fail })
  const debouncer = new Debouncer(watching.debounceMs, (path) => reconciler.look(path, "live"))
  const tree = new Tree(ctx, { manifest, reconciler, debouncer, first, isIgnored: watching.isIgnored })
  const remembering = writeRegularly(ctx, FLUSH_EVERY_MS, () => manifest.flush())
  const unwatch = await watchFiles({
    root,
    isIgnored: watching.isIgnored,
    log: ctx.log,
    onFile: (path) => tree.touch(path),
    onReady: () => void tree.compare().catch(life.fail),
    onFailure: life.fail,
  })
  try {
    await life.over
  } finally {
    debouncer.stop()
    await unwatch()
    await reconciler.stop()
    await remembering.stop()
  }
}

interface TreeParts {
  readonly manifest: Manifest
  readonly reconciler: Reconciler
  readonly debouncer: Debouncer
  readonly first: Occasion
  readonly isIgnored: (path: string) => boolean
}

/** Up to the end of the first scan paths are gathered; then the tree is compared with the manifest; then they are followed live. */
class Tree {
  readonly #ctx: SourceContext
  readonly #parts: TreeParts
  #gathered: Set<string> | undefined = new Set()

  constructor(ctx: SourceContext, parts: TreeParts) {
    this.#ctx = ctx
    this.#parts = parts
  }

  touch(path: string): void {
    if (this.#gathered === undefined) this.#parts.debouncer.touch(path)
    else this.#gathered.add(path)
  }

  async compare(): Promise<void> {
    const { manifest, reconciler, first, isIgnored } = this.#parts
    const paths = this.#gathered ?? new Set()
    this.#gathered = undefined
    const files = paths.size
    for (const path of manifest.paths()) {
      // What is ignored since the last run is forgotten, not reported as deleted.
      if (isIgnored(path)) manifest.delete(path)
      else paths.add(path)
    }
    for (const path of paths) reconciler.look(path, first)
    if (!(await reconciler.idle())) return
    if (first === "remember") {
      await manifest.flush()
      await manifest.markComplete()
    }
    this.#ctx.log.info({ source: this.#ctx.name, files }, "watching files")
  }
}
