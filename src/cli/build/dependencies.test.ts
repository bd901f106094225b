import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, it } from "vitest"
import { dependenciesOf } from "./dependencies.js"

let folder = ""
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "murmur-build-"))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const write = (name: string, value: unknown): void => writeFileSync(join(folder, name), JSON.stringify(value))

it("A folder without package.json, or with nothing in it but what a node brings, needs no packages", () => {
  expect(dependenciesOf(folder)).toBeUndefined()
  write("package.json", {
    dependencies: { murmur: "file:..", rxjs: "7.8.2", zod: "4.6.7" },
    devDependencies: { ms: "1" },
  })
  expect(dependenciesOf(folder)).toBeUndefined()
})

it("murmur is left out of package.json and of the lock, with what a linked checkout of it needs", () => {
  const root = { dependencies: { ms: "2.1.3" }, devDependencies: { murmur: "file:../murmur", vitest: "4.1.12" } }
  write("package.json", { name: "shop", ...root })
  write("package-lock.json", {
    lockfileVersion: 3,
    packages: {
      "": root,
      "../murmur": { version: "0.1.0" },
      "../murmur/node_modules/hono": { version: "4" },
      "node_modules/murmur": { resolved: "../murmur", link: true },
      "node_modules/murmur/node_modules/hono": { version: "4" },
      "node_modules/murmur-colours": { version: "1" },
      "node_modules/ms": { version: "2.1.3" },
    },
  })
  const found = dependenciesOf(folder)
  const without = { dependencies: { ms: "2.1.3" }, devDependencies: { vitest: "4.1.12" } }
  expect(JSON.parse(found?.manifest ?? "")).toEqual({ name: "shop", ...without })
  expect(JSON.parse(found?.lock ?? "").packages).toEqual({
    "": without,
    "node_modules/murmur-colours": { version: "1" },
    "node_modules/ms": { version: "2.1.3" },
  })
})

it("A package.json that is no JSON is named", () => {
  writeFileSync(join(folder, "package.json"), "{")
  expect(() => dependenciesOf(folder)).toThrow(join(folder, "package.json"))
})
