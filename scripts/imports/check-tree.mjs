import { readFileSync } from "node:fs"
import { join } from "node:path"
import { findCycles } from "./cycles.mjs"
import { listFiles } from "./list-files.mjs"
import { readImports } from "./read-imports.mjs"
import { isSource, reasonAgainst, resolveImport } from "./rules.mjs"

/**
 * Checks every import of a repository.
 *
 * @param {string} root
 * @returns {{ files: number, problems: string[] }} each problem as `file:line what is wrong and why`
 */
export function checkTree(root) {
  const files = ["src", "examples", "test", "bench"].flatMap((folder) => listFiles(root, folder))
  const problems = []
  const graph = new Map()
  for (const file of files) {
    const { imports, error } = readImports(file, readFileSync(join(root, file), "utf8"))
    if (error) problems.push(`${file}:${error.line} cannot be parsed: ${error.message}`)
    for (const found of imports) {
      const reason = reasonAgainst(file, found)
      if (reason) problems.push(`${file}:${found.line} imports "${found.specifier}": ${reason}`)
    }
    if (isSource(file)) graph.set(file, edgesOf(file, imports))
  }
  for (const { path, line } of findCycles(graph)) {
    const circle = path.join(" -> ")
    problems.push(
      `${path[0]}:${line} is part of an import cycle: ${circle}; move what they share into a file of its own`,
    )
  }
  return { files: files.length, problems }
}

/** What a file loads when it runs. Types are gone by then, so they close no circle. */
function edgesOf(file, imports) {
  const edges = new Map()
  for (const { specifier, line, typeOnly } of imports) {
    const target = resolveImport(file, specifier)
    if (!typeOnly && target !== undefined && !edges.has(target)) edges.set(target, line)
  }
  return edges
}
