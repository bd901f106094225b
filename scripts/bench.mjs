// Builds what is measured and measures it:
//   node scripts/bench.mjs             the short form, some three minutes
//   node scripts/bench.mjs --help      what else there is
import { spawnSync } from "node:child_process"
import { copyFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc")

// The command line is measured as it is shipped; the loops need the inside of murmur, so they get a build of their own.
for (const project of ["tsconfig.build.json", "bench/tsconfig.json"]) {
  const { status } = spawnSync(process.execPath, [tsc, "-p", project], { cwd: root, stdio: "inherit" })
  if (status !== 0) process.exit(status ?? 1)
}
copyFileSync(join(root, "package.json"), join(root, "bench/dist/package.json"))
await import(pathToFileURL(join(root, "bench/dist/bench/main.js")).href)
