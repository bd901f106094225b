// Runs the checks of this repository, one after the other, on any platform:
//   node scripts/verify.mjs            all of them
//   node scripts/verify.mjs lint types only these
// A check that fails does not stop the others, so one run shows all there is to mend. What passes takes one line.
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const require = createRequire(import.meta.url)
const say = (text) => process.stdout.write(`${text}\n`)

/** The script behind a package's command: started with our own Node, it needs no shell and no `.cmd` on Windows. */
function bin(name, command = name) {
  const manifest = join(root, "node_modules", name, "package.json")
  const entry = require(manifest).bin
  return join(dirname(manifest), typeof entry === "string" ? entry : entry[command])
}

const color = process.stdout.isTTY ? [] : ["--colors=off"]
const checks = [
  {
    name: "lint",
    does: "format and typed lint",
    run: () => [bin("@biomejs/biome", "biome"), "ci", "--error-on-warnings", ...color],
  },
  { name: "types", does: "types", run: () => [bin("typescript", "tsc"), "--noEmit"] },
  { name: "imports", does: "import direction", run: () => [join(root, "scripts/check-imports.mjs")] },
  { name: "deadcode", does: "dead code", run: () => [bin("knip"), "--no-progress"] },
  { name: "build", does: "build", run: () => [bin("typescript", "tsc"), "-p", "tsconfig.build.json"] },
  // Unit tests, integration tests and the snippets of the docs: all but those of the next check.
  { name: "tests", does: "tests", live: true, run: () => [bin("vitest"), "run", "--project=!containers"] },
  // With a Docker engine that it finds or starts; without one they count as skipped, and one line says why.
  { name: "containers", does: "tests with containers", live: true, run: () => [join(root, "scripts/containers.mjs")] },
]

/** Runs one check. Its output is kept back unless it fails; that of the tests is shown as it comes. */
function run(check, env) {
  return new Promise((resolve) => {
    const stdio = ["ignore", check.live ? "inherit" : "pipe", check.live ? "inherit" : "pipe"]
    const child = spawn(process.execPath, check.run(), { cwd: root, env, stdio })
    const output = []
    child.stdout?.on("data", (chunk) => output.push(chunk))
    child.stderr?.on("data", (chunk) => output.push(chunk))
    child.on("error", (error) => resolve({ ok: false, output: error.message }))
    child.on("close", (code) => resolve({ ok: code === 0, output: Buffer.concat(output).toString("utf8") }))
  })
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !checks.some((check) => check.name === name))
if (unknown.length > 0) {
  say(`Cannot run the check "${unknown[0]}": there are ${checks.map((check) => check.name).join(", ")}`)
  process.exit(2)
}

const scratch = mkdtempSync(join(tmpdir(), "murmur-verify-"))
const summaryOf = (check) => join(scratch, `${check.name}.txt`)
const env = { ...process.env }
if (!process.stdout.isTTY) env.NO_COLOR = "1"

const selected = checks.filter((check) => wanted.length === 0 || wanted.includes(check.name))
const failed = []
for (const check of selected) {
  const started = performance.now()
  const { ok, output } = await run(check, { ...env, MURMUR_TEST_SUMMARY: summaryOf(check) })
  if (!ok) {
    failed.push(check.name)
    if (output.trim() !== "") say(output.trimEnd())
  }
  say(`${ok ? "ok    " : "FAILED"} ${check.does} (${((performance.now() - started) / 1000).toFixed(1)} s)`)
}
if (failed.length > 0) say(`\nfailed: ${failed.join(", ")}. Run one alone with: node scripts/verify.mjs ${failed[0]}`)
const tested = selected.filter((check) => check.live)
if (tested.length > 0) say(testLine(tested))
rmSync(scratch, { recursive: true, force: true })
process.exitCode = failed.length > 0 ? 1 : 0

/** The lines of the test runs as one. A run that died before it could write its own is a failure. */
function testLine(runs) {
  const counts = runs.map(countsOf)
  const sum = (at) => counts.reduce((total, numbers) => total + numbers[at], 0)
  return `${sum(0)} passed, ${sum(1)} failed, ${sum(2)} skipped`
}

function countsOf(check) {
  try {
    const line = readFileSync(summaryOf(check), "utf8")
    const [, ...numbers] = /^(\d+) passed, (\d+) failed, (\d+) skipped$/m.exec(line)
    return numbers.map(Number)
  } catch {
    return [0, 1, 0]
  }
}
