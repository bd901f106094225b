import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { codeVersionOf } from "./code-version.js"

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "murmur-version-"))
  mkdirSync(join(folder, "mesh", "agents"), { recursive: true })
  mkdirSync(join(folder, "broken"), { recursive: true })
  writeFileSync(join(folder, "package.json"), JSON.stringify({ version: "1.2.3" }))
  writeFileSync(join(folder, "broken", "package.json"), "no json")
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test("the environment says it, else the nearest package.json", () => {
  const agents = join(folder, "mesh", "agents")
  expect(codeVersionOf([agents], {})).toBe("1.2.3")
  expect(codeVersionOf([agents], { MURMUR_CODE_VERSION: "sha-4f2a" })).toBe("sha-4f2a")
  expect(codeVersionOf([join(agents, "triage.ts")], {})).toBe("1.2.3")
})

test("where nobody says it there is none", () => {
  expect(codeVersionOf([join(folder, "broken")], {})).toBeUndefined()
  expect(codeVersionOf([], {})).toBeUndefined()
})
