import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { run } from "../run.js"
import type { Snippet } from "./collect.js"

/**
 * A folder inside the repository, ignored by git, in which snippets are compiled. It lies inside because that is
 * where `import "murmur"` means the built package itself, through the `exports` of package.json, as it will for users.
 */
export interface Workspace {
  /** The compiled module of a snippet. */
  compiled(snippet: Snippet): string
  remove(): void
  /** What the compiler says, as `page:line what`. Empty when every snippet compiles. */
  readonly problems: readonly string[]
}

/**
 * Compiles the `ts` snippets with the options of the project. The package must have been built.
 *
 * @param root the repository
 */
export async function compileSnippets(root: string, snippets: readonly Snippet[]): Promise<Workspace> {
  mkdirSync(join(root, ".snippets"), { recursive: true })
  const folder = mkdtempSync(join(root, ".snippets", "run-"))
  const pages = new Map<string, Snippet>()
  for (const snippet of snippets.filter(({ language }) => language === "ts")) {
    const path = `pages/${moduleOf(snippet)}.ts`
    pages.set(path, snippet)
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), snippet.source)
  }
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(compilerOptions))
  const tsc = join(root, "node_modules/typescript/bin/tsc")
  const { code, stdout, stderr } =
    pages.size === 0
      ? { code: 0, stdout: "", stderr: "" }
      : await run(process.execPath, [tsc, "--pretty", "false", "-p", "tsconfig.json"], {
          cwd: folder,
          timeoutMs: 60_000,
        })
  const problems = readDiagnostics(stdout, pages)
  if (code !== 0 && problems.length === 0) problems.push(`the compiler failed: ${stdout}${stderr}`)
  return {
    problems,
    compiled: (snippet) => join(folder, "out", `${moduleOf(snippet)}.js`),
    remove: () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }),
  }
}

const compilerOptions = {
  extends: "../../tsconfig.json",
  compilerOptions: {
    noEmit: false,
    rootDir: "pages",
    outDir: "out",
    sourceMap: true,
    // Every snippet is a module, so that the names of one do not clash with those of another.
    moduleDetection: "force",
    // Not the sources: the built package is what users import.
    paths: {},
  },
  include: ["pages/**/*.ts"],
}

/** Snippets of one page lie in one folder and can import one another. */
const moduleOf = ({ page, file }: Snippet): string =>
  `${page.replace(/\.md$/, "").replaceAll("/", "_")}/${file.replace(/\.ts$/, "")}`

const DIAGNOSTIC = /^(.+?)\((\d+),\d+\): error (TS\d+: .*)$/

/** Turns `pages/README/line-3.ts(5,7): error TS1: x` into `README.md:5 TS1: x`; each is said once. */
function readDiagnostics(output: string, pages: ReadonlyMap<string, Snippet>): string[] {
  const problems: string[] = []
  for (const line of output.split(/\r?\n/)) {
    const [, file = "", at, message] = DIAGNOSTIC.exec(line) ?? []
    const page = pages.get(file.replaceAll("\\", "/"))?.page
    if (message !== undefined) problems.push(`${page ?? file}:${at} ${message}`)
    else if (line.startsWith("  ") && problems.length > 0) problems.push(`${problems.pop()}\n${line}`)
    else if (line.trim() !== "") problems.push(line)
  }
  return [...new Set(problems)]
}
