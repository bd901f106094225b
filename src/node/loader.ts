import { hash } from "node:crypto"
import { existsSync, readFileSync, statSync } from "node:fs"
import { readdir } from "node:fs/promises"
import { dirname, extname, join, resolve, sep } from "node:path"
import { fileURLToPath } from "node:url"
import type { createJiti } from "jiti"
import { type AgentDefinition, isAgent } from "../agents/define-agent.js"
import { type AgentOrigin, setOrigin } from "../agents/isolation/origin.js"
import { ensureError, MurmurError } from "../errors.js"
import { isModels, type ModelsDefinition } from "../gateways/define-models.js"
import { isSource, type SourceDefinition } from "../sources/source.js"
import { suppliedModules } from "../supplied.js"

/** What was found in files. */
export interface Loaded {
  readonly agents: readonly AgentDefinition[]
  readonly sources: readonly SourceDefinition[]
  readonly models?: ModelsDefinition
  /** The files that were read, absolute. */
  readonly files: readonly string[]
}

/** Whether a file may hold agents or sources. */
export function isCode(file: string): boolean {
  return CODE.test(file) && !NOT_CODE.test(file)
}

const CODE = /\.(ts|mts|cts|js|mjs|cjs)$/
const NOT_CODE = /(\.d\.[mc]?ts|\.(test|spec|config)\.[mc]?[jt]s)$/
const SKIPPED = new Set(["node_modules", "dist", "test", "tests"])

/**
 * Loads agents and sources from files and folders: everything that a module exports (default, by name, or in an array)
 * and that `defineAgent`, `defineSource` or `defineModels` made.
 *
 * TypeScript runs as it is. `murmur`, `rxjs` and `zod` are those of the running murmur, so agent files need no install.
 */
export class Loader {
  #jiti: ReturnType<typeof createJiti> | undefined

  constructor(private readonly paths: readonly string[]) {}

  /**
   * Loads everything, afresh each time.
   *
   * @throws MurmurError `LOAD_PATH` when a path is not there, `LOAD_FILE` when a file does not load, with its name,
   *   `MODELS_TWICE`
   */
  async load(): Promise<Loaded> {
    const files = await this.files()
    const jiti = await this.#loader()
    this.#forget(jiti)
    const agents = new Set<AgentDefinition>()
    const sources = new Set<SourceDefinition>()
    const models = new Set<ModelsDefinition>()
    for (const file of files) {
      const origin = originOf(file)
      for (const value of await exportsOf(jiti, file)) {
        if (isAgent(value)) agents.add(value)
        if (isAgent(value)) setOrigin(value, origin)
        else if (isSource(value)) sources.add(value)
        else if (isModels(value)) models.add(value)
      }
    }
    return { agents: [...agents], sources: [...sources], ...onlyModels([...models]), files }
  }

  /** The files that would be loaded. @throws MurmurError `LOAD_PATH` */
  async files(): Promise<string[]> {
    const files = new Set<string>()
    for (const path of this.paths) {
      const absolute = resolve(path)
      if (!existsSync(absolute)) {
        throw new MurmurError(`Cannot load "${path}": there is no such file or folder (looked at ${absolute})`, {
          code: "LOAD_PATH",
          details: { path: absolute },
        })
      }
      if (statSync(absolute).isFile()) files.add(absolute)
      else for (const file of await codeIn(absolute)) files.add(file)
    }
    return [...files].sort()
  }

  /** The folders whose changes matter. */
  roots(): string[] {
    return this.paths.map((path) => {
      const absolute = resolve(path)
      return statSync(absolute).isFile() ? dirname(absolute) : absolute
    })
  }

  async #loader(): Promise<ReturnType<typeof createJiti>> {
    this.#jiti ??= await makeJiti()
    return this.#jiti
  }

  /** Drops what was loaded from our folders, so that an edited file and all that import it are read again. */
  #forget(jiti: ReturnType<typeof createJiti>): void {
    const roots = this.roots()
    for (const file of Object.keys(jiti.cache)) {
      const ours = roots.some((root) => file.startsWith(root + sep)) && !file.includes(`${sep}node_modules${sep}`)
      if (ours) delete jiti.cache[file]
    }
  }
}

async function makeJiti(): Promise<ReturnType<typeof createJiti>> {
  const [{ createJiti }, virtualModules] = await Promise.all([import("jiti"), suppliedModules()])
  return createJiti(import.meta.url, { virtualModules, interopDefault: false })
}

/** @throws MurmurError `MODELS_TWICE` */
function onlyModels([models, ...more]: readonly ModelsDefinition[]): { models?: ModelsDefinition } {
  if (models === undefined) return {}
  if (more.length === 0) return { models }
  throw new MurmurError(
    `Cannot load the models: ${more.length + 1} files say which they are (defineModels). Give murmur one of them`,
    { code: "MODELS_TWICE" },
  )
}

/** What a worker needs to load an agent of this file once more. */
function originOf(file: string): AgentOrigin {
  const program = fileURLToPath(new URL(`./isolation-worker${extname(import.meta.url)}`, import.meta.url))
  return { file, fingerprint: hash("sha256", readFileSync(file), "base64url"), program }
}

/**
 * Loads one agent in a worker, as its node has loaded it.
 *
 * @throws MurmurError `AGENT_CHANGED` when the file is not what the node has loaded, `LOAD_FILE`, `AGENT_UNKNOWN`
 */
export async function loadAgain(wanted: {
  agent: string
  file: string
  fingerprint: string
}): Promise<AgentDefinition> {
  const { agent, file, fingerprint } = wanted
  if (!existsSync(file) || originOf(file).fingerprint !== fingerprint) {
    throw new MurmurError(
      `the file is not what it was when the node loaded it; restart the node, or run it with --watch`,
      { code: "AGENT_CHANGED", details: { file } },
    )
  }
  const found = (await exportsOf(await makeJiti(), file)).find((value) => isAgent(value) && value.name === agent)
  if (found !== undefined) return found as AgentDefinition
  throw new MurmurError(`the file exports no agent "${agent}"`, { code: "AGENT_UNKNOWN", details: { file, agent } })
}

async function codeIn(folder: string): Promise<string[]> {
  const files: string[] = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.name.startsWith(".") || SKIPPED.has(entry.name)) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) files.push(...(await codeIn(path)))
    else if (isCode(entry.name)) files.push(path)
  }
  return files
}

async function exportsOf(jiti: ReturnType<typeof createJiti>, file: string): Promise<unknown[]> {
  try {
    const module = (await jiti.import(file)) as Record<string, unknown>
    return Object.values(module).flatMap((value) => (Array.isArray(value) ? value : [value]))
  } catch (thrown) {
    const error = ensureError(thrown)
    throw new MurmurError(`Cannot load "${file}": ${error.message}`, {
      code: "LOAD_FILE",
      cause: error,
      details: { file },
    })
  }
}

/** Where murmur itself is installed. */
export function installFolder(): string {
  return resolve(dirname(fileURLToPath(import.meta.url)), "../..")
}
