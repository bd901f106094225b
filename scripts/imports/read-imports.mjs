import { parseSync, Visitor } from "oxc-parser"

/**
 * One import as it stands in a file.
 * @typedef {object} Import
 * @property {string} specifier what is imported, as written
 * @property {number} line 1-based
 * @property {boolean} typeOnly gone after compilation: it is a rule's business, but never part of a cycle
 */

/**
 * Everything that a TypeScript file imports: static and dynamic imports, re-exports, `import("x").T` in types,
 * `import x = require("x")` and `require("x")`. A dynamic import of something computed cannot be seen.
 *
 * With `verbatimModuleSyntax`, `import { type A } from "x"` still loads x, so only `import type` is type-only.
 *
 * @param {string} path
 * @param {string} text
 * @returns {{ imports: Import[], error?: { line: number, message: string } }}
 */
export function readImports(path, text) {
  const lineAt = lineFinder(text)
  const { program, errors } = parseSync(path, text)
  if (errors.length > 0) {
    const [first] = errors
    return { imports: [], error: { line: lineAt(first.labels?.[0]?.start ?? 0), message: first.message } }
  }
  const imports = []
  const add = (node, specifier, typeOnly) => {
    if (specifier !== undefined) imports.push({ specifier, line: lineAt(node.start), typeOnly })
  }
  new Visitor({
    ImportDeclaration: (node) => add(node, literal(node.source), node.importKind === "type"),
    ExportNamedDeclaration: (node) => add(node, literal(node.source), node.exportKind === "type"),
    ExportAllDeclaration: (node) => add(node, literal(node.source), node.exportKind === "type"),
    ImportExpression: (node) => add(node, literal(node.source), false),
    TSImportType: (node) => add(node, literal(node.source), true),
    TSImportEqualsDeclaration: (node) =>
      add(node, literal(node.moduleReference.expression), node.importKind === "type"),
    CallExpression: (node) => {
      if (node.callee.type === "Identifier" && node.callee.name === "require")
        add(node, literal(node.arguments[0]), false)
    },
  }).visit(program)
  return { imports: imports.sort((a, b) => a.line - b.line) }
}

/** The text of a string literal or of a template without holes. */
function literal(node) {
  if (node?.type === "Literal" && typeof node.value === "string") return node.value
  if (node?.type === "TemplateLiteral" && node.expressions.length === 0) return node.quasis[0].value.cooked
  return undefined
}

function lineFinder(text) {
  const starts = [0]
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1)
  return (offset) => {
    let low = 0
    let high = starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (starts[middle] <= offset) low = middle
      else high = middle - 1
    }
    return low + 1
  }
}
