// Fails when an import runs against the arrows of ARCHITECTURE.md, when a package is used outside of its home, or
// when files of src import one another in a circle:
//   node scripts/check-imports.mjs [root of the repository]
import { dirname, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { checkTree } from "./imports/check-tree.mjs"

const root = resolve(process.argv[2] ?? dirname(dirname(fileURLToPath(import.meta.url))))
const { files, problems } = checkTree(root)

if (files === 0) {
  process.stdout.write(`Cannot check imports: there are no TypeScript files in ${root}\n`)
  process.exitCode = 2
} else if (problems.length > 0) {
  process.stdout.write(`${problems.join("\n")}\n\n${problems.length} imports are not allowed, in ${files} files\n`)
  process.exitCode = 1
} else {
  process.stdout.write(`${files} files: every import runs the right way\n`)
}
