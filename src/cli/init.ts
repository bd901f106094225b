import { existsSync, readFileSync, realpathSync } from "node:fs"
import { basename, dirname, join, relative, resolve, sep } from "node:path"
import { checkName } from "../bus/subjects.js"
import { installFolder } from "../node/loader.js"
import type { Cli } from "./cli.js"
import { writeNewFiles } from "./new-files.js"
import { projectFiles } from "./project-template.js"

/** `murmur init [dir]`: writes a small project that `murmur up .` runs as it is. */
export async function init({ options, out }: Cli, [dir = "."]: [string?]): Promise<void> {
  const folder = resolve(dir)
  const written = await writeNewFiles(folder, projectFiles({ name: projectName(folder), ...dependencies(folder) }))
  if (options.json) return out.json({ dir: folder, created: written })
  for (const path of written) await out.line(path)
  if (!out.terminal) return
  const enter = folder === process.cwd() ? "" : `  cd ${relative(process.cwd(), folder)}\n`
  await out.line(`\nNext:\n${enter}${nextSteps(ownCommand())}`)
}

const nextSteps = (murmur: string): string => `  ${murmur} up .
  ${murmur} publish note.added --key inbox --data '{"notebook":"inbox","text":"hello there"}'
  npm install && npm test

The first runs it and needs no install; the last is for types in the editor and the agents' tests. One of the agents
thinks: a script stands in for its model, unless OPENAI_API_KEY or OLLAMA_HOST is set (models.ts).`

/** How this very murmur is called. By npx, "murmur" means nothing in another folder, or something else. */
function ownCommand(): string {
  const script = process.argv[1] ?? ""
  if (basename(script) === "murmur" && process.env.npm_command !== "exec") return "murmur"
  return `node ${realpathSync(script)}`
}

/** The folder's name as a package and mesh may have it. */
function projectName(folder: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, "-")
    .replace(/^[-_]+|-+$/g, "")
    .slice(0, 64)
  try {
    return checkName(name, "project")
  } catch {
    return "my-mesh"
  }
}

/**
 * What the project needs for its editor and its tests; `murmur up` brings what agents import. A checkout of murmur is
 * linked by its path; an installed copy may be a temporary one, and is not.
 */
function dependencies(folder: string): { murmur: string | undefined; versions: Readonly<Record<string, string>> } {
  const home = installFolder()
  const manifest = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as {
    dependencies: Record<string, string>
    devDependencies?: Record<string, string>
  }
  const known = { ...manifest.devDependencies, ...manifest.dependencies }
  const versions = Object.fromEntries(TOOLS.map((name) => [name, known[name] ?? "*"]))
  const isCheckout = existsSync(join(home, "tsconfig.json")) && !home.split(sep).includes("node_modules")
  const murmur = isCheckout ? `file:${relative(realFolder(folder), home).split(sep).join("/")}` : undefined
  return { murmur, versions }
}

const TOOLS = ["@types/node", "rxjs", "typescript", "vitest", "zod"]

/** The real path of a folder that may not exist yet: a link on the way would make a relative path wrong. */
function realFolder(folder: string): string {
  if (existsSync(folder)) return realpathSync(folder)
  return join(realFolder(dirname(folder)), basename(folder))
}
