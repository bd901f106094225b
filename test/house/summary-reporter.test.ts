import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterEach, beforeEach, expect, it } from "vitest"
import { run } from "../support/run.js"

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "murmur-summary-"))
  symlinkSync(resolve("node_modules"), join(folder, "node_modules"), "junction")
  const reporter = JSON.stringify(resolve("test/support/summary-reporter.ts"))
  writeFileSync(join(folder, "vitest.config.mjs"), `export default { test: { reporters: ["dot", ${reporter}] } }\n`)
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** Runs a small suite and returns its exit code and the line that it ends with. */
async function suite(tests: string): Promise<{ code: number | null; line: string | undefined }> {
  writeFileSync(join(folder, "a.test.mjs"), `import { it } from "vitest"\n${tests}`)
  const env = { ...process.env, NO_COLOR: "1", MURMUR_TEST_SUMMARY: "" }
  const vitest = resolve("node_modules/vitest/vitest.mjs")
  const { code, stdout } = await run(process.execPath, [vitest, "run"], { cwd: folder, env })
  return { code, line: stdout.trimEnd().split("\n").at(-1) }
}

const passes = 'it("passes", () => {})\n'

it.each([
  [
    "tests that pass and are skipped",
    `${passes}it.skip("a", () => {})\nit.todo("b")\n`,
    0,
    "1 passed, 0 failed, 2 skipped",
  ],
  ["a test that fails", `${passes}it("fails", () => { throw new Error("no") })\n`, 1, "1 passed, 1 failed, 0 skipped"],
  ["a file that cannot be loaded", 'import "./nothing.mjs"\n', 1, "0 passed, 1 failed, 0 skipped"],
  [
    "an error outside of any test",
    `${passes}it("waits", async () => {\n  setTimeout(() => { throw new Error("late") })\n  await new Promise((r) => setTimeout(r, 50))\n})\n`,
    1,
    "2 passed, 1 failed, 0 skipped",
  ],
])("A run with %s ends with the right line and exit code", async (_what, tests, code, line) => {
  expect(await suite(tests)).toEqual({ code, line })
})

it("The line goes to the file that MURMUR_TEST_SUMMARY names", async () => {
  writeFileSync(join(folder, "a.test.mjs"), `import { it } from "vitest"\n${passes}`)
  const env = { ...process.env, MURMUR_TEST_SUMMARY: join(folder, "summary.txt") }
  await run(process.execPath, [resolve("node_modules/vitest/vitest.mjs"), "run"], { cwd: folder, env })
  expect(readFileSync(join(folder, "summary.txt"), "utf8")).toBe("1 passed, 0 failed, 0 skipped\n")
})
