import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { expect, it, onTestFinished } from "vitest"
import { run } from "../support/run.js"

/** The rules that the linter names in `text`, judged by this repository's configuration. */
async function rulesBrokenBy(text: string): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "murmur-lint-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const config = JSON.parse(readFileSync("biome.json", "utf8")) as Record<string, unknown>
  writeFileSync(join(folder, "biome.json"), JSON.stringify({ ...config, $schema: undefined, vcs: undefined }))
  writeFileSync(join(folder, "work.ts"), "export async function work(): Promise<number> {\n  return 1\n}\n")
  writeFileSync(join(folder, "sample.ts"), text)
  const biome = resolve("node_modules/@biomejs/biome/bin/biome")
  const { stdout, stderr } = await run(process.execPath, [biome, "lint", "--colors=off", "sample.ts"], { cwd: folder })
  return [...`${stdout}${stderr}`.matchAll(/ lint\/\w+\/(\w+)/g)].map(([, rule = ""]) => rule)
}

const useWork = 'import { work } from "./work.js"\n'

// The rules that need types are young; these tests notice when an update of the linter silently loses them.
it.each([
  [
    "a floating promise of another file",
    `${useWork}export const f = (): void => {\n  work()\n}\n`,
    "noFloatingPromises",
  ],
  [
    "a floating promise of a method",
    `${useWork}class A {\n  async run(): Promise<void> {\n    await work()\n  }\n}\nexport const f = (a: A): void => {\n  a.run()\n}\n`,
    "noFloatingPromises",
  ],
  [
    "a promise as a condition",
    `${useWork}export const f = (): number => {\n  if (work()) return 1\n  return 2\n}\n`,
    "noMisusedPromises",
  ],
  [
    "an async callback where nobody waits",
    `${useWork}export const f = (): void => {\n  ;[1].forEach(async () => {\n    await work()\n  })\n}\n`,
    "noMisusedPromises",
  ],
  ["a console call", 'export const f = (): void => console.log("a")\n', "noConsole"],
  ["any", "export const f = (a: any): unknown => a\n", "noExplicitAny"],
  ["a non-null assertion", "export const f = (a?: number): number => a!\n", "noNonNullAssertion"],
  ["an import that ends in .ts", 'import { work } from "./work.ts"\nexport const f = work\n', "useImportExtensions"],
])("The linter refuses %s", async (_what, text, rule) => {
  expect(await rulesBrokenBy(text)).toEqual([rule])
})

it("The linter has nothing against a promise that is awaited, returned or marked as left alone", async () => {
  const text = `${useWork}export const f = async (): Promise<number> => {\n  void work()\n  await work()\n  return work()\n}\n`
  expect(await rulesBrokenBy(text)).toEqual([])
})
