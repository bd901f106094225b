import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type Fence, readFences } from "./fences.js"

/**
 * The docs are checked by machine:
 *
 * - a `ts` fence is a module of its own that must compile against what `import ... from "murmur"` offers;
 * - `ts continued` goes on where the `ts` fence before it ended;
 * - `ts file=events.ts` can be imported by the other fences of its page as `./events.js`;
 * - `ts run` and `sh run` are executed as well, in the order of the page, against a real server;
 * - a `text output` fence after one of those is what it prints; `...` stands for anything, on a line or as a line;
 * - `ts ignore` is not checked, and must say why in its first line: `// not checked: <reason>`.
 */
export interface Snippet {
  /** Page, from the root of the repository, with `/`. */
  readonly page: string
  /** Line of the opening fence. */
  readonly line: number
  readonly language: "ts" | "sh"
  /**
   * Of a `ts` snippet, the module: each line of code stands on the line number that it has in the page, so that
   * whatever complains about it names the right line.
   */
  readonly source: string
  /** Name of the module, without a folder. */
  readonly file: string
  readonly run: boolean
  /** What running it prints, when the page says so. */
  readonly output: string | undefined
}

/** What the pages hold, and what is wrong with how they hold it (`page:line what`). */
export interface Collection {
  readonly snippets: readonly Snippet[]
  readonly problems: readonly string[]
}

/** Reads README.md and docs/**\/*.md. Decisions are history: what they show need not work any more. */
export function collectSnippets(root: string): Collection {
  const pages = ["README.md", ...markdownBelow(root, "docs")].filter((page) => !page.startsWith("docs/decisions/"))
  const collections = pages.map((page) => collectPage(page, readPage(root, page)))
  return {
    snippets: collections.flatMap(({ snippets }) => snippets),
    problems: collections.flatMap(({ problems }) => problems),
  }
}

function markdownBelow(root: string, folder: string): string[] {
  const entries = readdirSync(join(root, folder), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  return entries.flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) return markdownBelow(root, path)
    return entry.name.endsWith(".md") ? [path] : []
  })
}

function readPage(root: string, page: string): string {
  return readFileSync(join(root, page), "utf8")
}

/** The snippets of one page. */
export function collectPage(page: string, markdown: string): Collection {
  const snippets: Snippet[] = []
  const problems: string[] = []
  let before: readonly Fence[] = []
  for (const fence of readFences(markdown)) {
    const problem = wrongWith(fence, before, snippets)
    if (problem !== undefined) problems.push(`${page}:${fence.line} ${problem}`)
    if (problem !== undefined || fence.flags.includes("ignore")) continue
    if (fence.language === "ts") {
      before = fence.flags.includes("continued") ? [...before, fence] : [fence]
      snippets.push(toSnippet(page, fence, before))
    } else if (fence.language === "sh" && fence.flags.includes("run")) {
      snippets.push(toSnippet(page, fence, [fence]))
    } else if (fence.flags.includes("output")) {
      const last = snippets.pop()
      if (last !== undefined) snippets.push({ ...last, output: fence.code.join("\n") })
    }
  }
  return { snippets, problems }
}

function toSnippet(page: string, fence: Fence, parts: readonly Fence[]): Snippet {
  return {
    page,
    line: fence.line,
    language: fence.language === "sh" ? "sh" : "ts",
    source: fence.language === "sh" ? fence.code.join("\n") : atTheirLines(parts),
    file: fileOf(fence) ?? `line-${fence.line}.ts`,
    run: fence.flags.includes("run"),
    output: undefined,
  }
}

function atTheirLines(parts: readonly Fence[]): string {
  const lines: string[] = []
  for (const part of parts) {
    while (lines.length < part.line) lines.push("")
    lines.push(...part.code)
  }
  return `${lines.join("\n")}\n`
}

const fileOf = (fence: Fence): string | undefined => fence.flags.find((flag) => flag.startsWith("file="))?.slice(5)

const OTHER_NAMES = new Map([
  ["typescript", "ts"],
  ["javascript", "ts"],
  ["js", "ts"],
  ["bash", "sh"],
  ["shell", "sh"],
])
const FLAGS: Readonly<Record<string, RegExp>> = {
  ts: /^(run|continued|ignore|file=[\w-]+\.ts)$/,
  sh: /^run$/,
  text: /^output$/,
}

/** What is wrong with the fence itself, if anything. */
function wrongWith(fence: Fence, before: readonly Fence[], snippets: readonly Snippet[]): string | undefined {
  const { language, flags, code } = fence
  if (!fence.closed) return "opens a code block that is never closed"
  const better = OTHER_NAMES.get(language)
  if (better !== undefined) return `is marked "${language}": write "${better}", the name that the docs check knows`
  const unknown = FLAGS[language] && flags.find((flag) => !FLAGS[language]?.test(flag))
  if (unknown !== undefined) return `has the mark "${unknown}", which is none of ${FLAGS[language]?.source}`
  if (flags.includes("ignore") && !/^\/\/ not checked: \S.{7,}/.test(code[0] ?? "")) {
    return 'is marked "ignore" and must begin with a line "// not checked: <reason>"'
  }
  if (flags.includes("continued") && before.length === 0) return "continues a snippet, but there is none before it"
  const file = fileOf(fence)
  if (file !== undefined && snippets.some((snippet) => snippet.file === file))
    return `has the same name as another snippet of this page: ${file}`
  if (flags.includes("output") && snippets.at(-1)?.run !== true)
    return "says what is printed, but no snippet before it is run"
  if (flags.includes("output") && snippets.at(-1)?.output !== undefined) return "is the second output of one snippet"
  return undefined
}
