import { optionError, show } from "../options.js"

/** Patterns or a predicate on paths relative to the root, with forward slashes. */
export type Ignore = readonly (string | RegExp)[] | ((path: string) => boolean)

/** Ignored unless a predicate is given instead of patterns. */
export const IGNORED_BY_DEFAULT: readonly string[] = [".git", "node_modules", ".murmur"]

/**
 * Compiles what to ignore. A pattern without a slash matches a name at any depth, one with a slash counts from the
 * root; `*` and `?` stay within a name, `**` crosses folders. What lies below an ignored folder is ignored too.
 * Patterns add to the defaults; a predicate replaces them.
 *
 * @throws MurmurError `SOURCE_OPTION`
 */
export function compileIgnore(source: string, ignore: Ignore = []): (path: string) => boolean {
  if (typeof ignore === "function") return (path) => ancestors(path).some((part) => ignore(part))
  if (!Array.isArray(ignore)) {
    throw optionError(source, `ignore must be a list of patterns or a function, is ${show(ignore)}`)
  }
  const tests = [...IGNORED_BY_DEFAULT, ...ignore].map((pattern) => compile(source, pattern))
  return (path) => ancestors(path).some((part) => tests.some((test) => test(part)))
}

function compile(source: string, pattern: unknown): (path: string) => boolean {
  if (pattern instanceof RegExp) {
    // A global or sticky expression remembers where it matched last; a copy without those flags does not.
    const stateless = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""))
    return (path) => stateless.test(path)
  }
  const text = typeof pattern === "string" ? pattern.replace(/^\.?\//, "").replace(/\/+$/, "") : ""
  if (text === "") {
    throw optionError(source, `ignore must hold patterns such as "*.tmp" or /\\.tmp$/, has ${show(pattern)}`)
  }
  const anchored = String(pattern).replace(/\/+$/, "").includes("/")
  const expression = new RegExp(`^${anchored ? "" : "(?:.*/)?"}${globSource(text)}$`)
  return (path) => expression.test(path)
}

function globSource(glob: string): string {
  return glob.replace(/\*\*\/|\*\*|\*|\?|[.+^${}()|[\]\\]/g, (token) => {
    if (token === "**/") return "(?:.*/)?"
    if (token === "**") return ".*"
    if (token === "*") return "[^/]*"
    if (token === "?") return "[^/]"
    return `\\${token}`
  })
}

/** `a/b/c` -> `a`, `a/b`, `a/b/c`. */
function ancestors(path: string): string[] {
  const parts: string[] = []
  for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1)) parts.push(path.slice(0, at))
  parts.push(path)
  return parts
}
