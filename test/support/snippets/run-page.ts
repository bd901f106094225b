import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { type RunResult, run } from "../run.js"
import type { Snippet } from "./collect.js"
import type { Workspace } from "./workspace.js"

/** What the snippets of a page are run with. */
export interface PageOptions {
  /** The repository. */
  readonly root: string
  readonly workspace: Workspace
  /** The server that they find in `NATS_URL`. */
  readonly natsUrl: string
  /** How long one snippet may take, in milliseconds. Default 20,000. */
  readonly timeoutMs?: number
}

/**
 * Runs those snippets of a page that are marked `run`, in their order, in one working folder and on one server: a page
 * tells a story, and what one snippet did is there for the next.
 *
 * @returns what went wrong, as `page:line what`
 */
export async function runPage(snippets: readonly Snippet[], options: PageOptions): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "murmur-docs-"))
  const env = environment(folder, options)
  const problems: string[] = []
  try {
    for (const snippet of snippets.filter((candidate) => candidate.run)) {
      const [command, args] = commandFor(snippet, options.workspace)
      const result = await run(command, args, {
        cwd: join(folder, "work"),
        env,
        timeoutMs: options.timeoutMs ?? 20_000,
      })
      const problem = wrongWith(result, snippet.output)
      if (problem !== undefined) problems.push(`${snippet.page}:${snippet.line} ${problem}`)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  }
  return problems
}

function commandFor(snippet: Snippet, workspace: Workspace): [string, string[]] {
  if (snippet.language === "sh") return ["sh", ["-eu", "-c", snippet.source]]
  return [process.execPath, ["--enable-source-maps", workspace.compiled(snippet)]]
}

/** A working folder, and a PATH on which `murmur` and `npx murmur` are the ones that were built here. */
function environment(folder: string, { root, natsUrl }: PageOptions): NodeJS.ProcessEnv {
  mkdirSync(join(folder, "work"))
  return withTools(folder, join(root, "dist/cli/main.js"), { ...process.env, NATS_URL: natsUrl, NO_COLOR: "1" })
}

/** An environment in which `murmur` and `npx murmur` run this very program; they are put into `<folder>/bin`. */
export function withTools(folder: string, main: string, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const tools = join(folder, "bin")
  mkdirSync(tools)
  writeFileSync(join(tools, "murmur"), `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`)
  writeFileSync(
    join(tools, "npx"),
    '#!/bin/sh\n[ "$1" = murmur ] || { echo "the docs run only npx murmur" >&2; exit 1; }\nexec "$@"\n',
  )
  for (const tool of ["murmur", "npx"]) chmodSync(join(tools, tool), 0o755)
  return { ...env, PATH: `${tools}${delimiter}${env.PATH ?? ""}` }
}

function wrongWith(result: RunResult, expected: string | undefined): string | undefined {
  const said = `${result.stdout}${result.stderr}`.trimEnd()
  if (result.timedOut) return `did not end in time; it said:\n${said}`
  if (result.code !== 0) return `exited with ${result.code ?? "a signal"}:\n${said}`
  if (expected === undefined || matchesOutput(result.stdout, expected)) return undefined
  return `printed something else than the page says:\n${result.stdout.trimEnd()}`
}

/** Whether a program printed what a page shows. `...` stands for any text on its line, and alone for any lines. */
export function matchesOutput(printed: string, shown: string): boolean {
  const lines = shown
    .trimEnd()
    .split("\n")
    .map((line) => line.trimEnd())
  const pattern = lines.map((line) => (line.trim() === "..." ? "(?:.*\\n)*?" : `${inLine(line)} *\\n`)).join("")
  return new RegExp(`^${pattern}$`).test(`${printed.trimEnd()}\n`)
}

const inLine = (line: string): string => line.split("...").map(escapeRegExp).join(".*")
const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
