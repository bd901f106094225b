// Makes what goes into the image out of what npm and the compiler left in a folder: leaves out what Node never reads,
// adds the command, and gives every file the same time, so that the same commit makes the same files.
//   node finish.mjs <packages> <rest>        SOURCE_DATE_EPOCH: that time, in seconds
// The first folder is the root of a layer with packages, the second is made: the root of the one above it.
import { chmodSync, cpSync, lutimesSync, mkdirSync, readdirSync, rmSync, symlinkSync } from "node:fs"
import { join } from "node:path"

const [packages, rest] = process.argv.slice(2)
const home = join(packages, "app/node_modules/murmur")
const modules = join(home, "node_modules")
const time = Number(process.env.SOURCE_DATE_EPOCH ?? 0)

/** Types, sources, maps and manuals; licences stay. */
const UNREAD = /(\.(map|ts|mts|cts|tsbuildinfo|flow)|(?<!LICEN[CS]E|NOTICE|COPYING)\.md)$/i
/**
 * The same code once more, for browsers and bundlers. test/containers/image.test.ts imports all that murmur may import,
 * in the image: a package that moves its files is noticed.
 */
const UNUSED = [
  "rxjs/dist/bundles",
  "rxjs/dist/esm",
  "rxjs/dist/esm5",
  "rxjs/src",
  "gpt-tokenizer/cjs",
  "gpt-tokenizer/data",
  "gpt-tokenizer/dist",
  "gpt-tokenizer/src",
  "openai/src",
  "zod/src",
]

for (const path of UNUSED) rmSync(join(modules, path), { recursive: true, force: true })
for (const path of openTelemetryForBundlers()) rmSync(path, { recursive: true, force: true })
for (const path of files(home)) if (UNREAD.test(path)) rmSync(path)
for (const name of ["package-lock.json", ".npmrc"]) rmSync(join(home, name))

cpSync(home, join(rest, "app/node_modules/murmur"), { recursive: true, filter: (path) => path !== modules })
for (const name of readdirSync(home)) {
  if (name !== "node_modules") rmSync(join(home, name), { recursive: true })
}
mkdirSync(join(rest, "app/agents"))
mkdirSync(join(rest, "usr/local/bin"), { recursive: true })
chmodSync(join(rest, "app/node_modules/murmur/dist/cli/main.js"), 0o755)
symlinkSync("/app/node_modules/murmur/dist/cli/main.js", join(rest, "usr/local/bin/murmur"))
for (const layer of [packages, rest]) setTimes(layer)

/** Node reads `build/src`; the other two are for bundlers. */
function openTelemetryForBundlers() {
  const scope = join(modules, "@opentelemetry")
  return readdirSync(scope).flatMap((name) => ["esm", "esnext"].map((kind) => join(scope, name, "build", kind)))
}

function* files(path) {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const below = join(path, entry.name)
    if (entry.isDirectory()) yield* files(below)
    else yield below
  }
}

function setTimes(path) {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const below = join(path, entry.name)
    if (entry.isDirectory()) setTimes(below)
    lutimesSync(below, time, time)
  }
  lutimesSync(path, time, time)
}
