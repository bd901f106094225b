import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { beforeAll, beforeEach, expect, onTestFinished, test } from "vitest"
import { Loader } from "../../src/node/loader.js"
import { run } from "../support/run.js"
import { buildCli, errorOf, jsonOf, murmur } from "./support/cli.js"

const root = resolve(import.meta.dirname, "../..")
const FILES = [
  ...["package.json", "tsconfig.json", ".gitignore", "events.ts"],
  ...["agents/word-counter.ts", "agents/word-counter.test.ts"],
]

let dir = ""
beforeAll(buildCli, 120_000)
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "murmur-init-"))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
})

test("init writes a project that links this checkout and asks no registry for murmur", async () => {
  const project = join(dir, "My First Mesh!")
  expect(jsonOf(await murmur(["init", project, "--json"]))).toEqual({ dir: project, created: FILES })
  const manifest = JSON.parse(readFileSync(join(project, "package.json"), "utf8"))
  expect(manifest).toMatchObject({
    name: "my-first-mesh",
    private: true,
    type: "module",
    scripts: { start: "murmur up ." },
  })
  const link: string = manifest.devDependencies.murmur
  expect(link).toMatch(/^file:/)
  expect(resolve(realpathSync(project), link.slice("file:".length))).toBe(root)
})

test("The project's agents load with nothing installed, its types hold and its test passes", async () => {
  await murmur(["init", dir])
  await murmur(["new", "agent", "ci-triage"], { cwd: dir })
  const { agents } = await new Loader([dir]).load()
  expect(agents.map(({ name }) => name).sort()).toEqual(["ci-triage", "word-counter"])
  // what npm install would make
  mkdirSync(join(dir, "node_modules"))
  symlinkSync(root, join(dir, "node_modules/murmur"))
  for (const name of ["vitest", "zod"]) symlinkSync(join(root, "node_modules", name), join(dir, "node_modules", name))
  expect(await run(process.execPath, [join(root, "node_modules/typescript/bin/tsc")], { cwd: dir })).toMatchObject({
    code: 0,
    stdout: "",
  })
  const tests = await run(process.execPath, [join(root, "node_modules/vitest/vitest.mjs"), "run"], { cwd: dir })
  expect(tests).toMatchObject({ code: 0, stdout: expect.stringContaining("1 passed") })
}, 60_000)

test("init overwrites nothing, and writes nothing when it would", async () => {
  writeFileSync(join(dir, "events.ts"), "mine")
  const result = await murmur(["init", dir, "--json"])
  expect(result.code).toBe(1)
  expect(errorOf(result)).toMatchObject({ code: "FILE_EXISTS", message: expect.stringContaining("events.ts") })
  expect(readFileSync(join(dir, "events.ts"), "utf8")).toBe("mine")
  expect(existsSync(join(dir, "package.json"))).toBe(false)
})

test("new agent writes one file, into agents or where it is told, and never over another", async () => {
  expect(await murmur(["new", "agent", "echo"], { cwd: dir })).toMatchObject({ code: 0, stdout: "agents/echo.ts\n" })
  expect(jsonOf(await murmur(["new", "agent", "9lives", "--dir", "deep/er", "--json"], { cwd: dir }))).toEqual({
    created: ["deep/er/9lives.ts"],
  })
  const again = await murmur(["new", "agent", "echo", "--json"], { cwd: dir })
  expect(again.code).toBe(1)
  expect(errorOf(again).code).toBe("FILE_EXISTS")
  const { agents } = await new Loader([dir]).load()
  expect(agents.map(({ name }) => name).sort()).toEqual(["9lives", "echo"])
})
