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
import { testAgent } from "murmur"
import { beforeAll, beforeEach, expect, onTestFinished, test, vi } from "vitest"
import { Loader } from "../../src/node/loader.js"
import { run } from "../support/run.js"
import { buildCli, errorOf, jsonOf, murmur } from "./support/cli.js"

const root = resolve(import.meta.dirname, "../..")
const FILES = [
  ...["package.json", "tsconfig.json", ".gitignore", "events.ts", "models.ts"],
  ...["agents/word-counter.ts", "agents/word-counter.test.ts", "agents/titler.ts", "agents/titler.test.ts"],
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
  await murmur(["new", "agent", "clerk", "--mind"], { cwd: dir })
  const { agents } = await new Loader([dir]).load()
  expect(agents.map(({ name }) => name).sort()).toEqual(["ci-triage", "clerk", "titler", "word-counter"])
  // what npm install would make
  mkdirSync(join(dir, "node_modules"))
  symlinkSync(root, join(dir, "node_modules/murmur"))
  mkdirSync(join(dir, "node_modules/@types"))
  for (const name of ["vitest", "zod", "@types/node"]) {
    symlinkSync(join(root, "node_modules", name), join(dir, "node_modules", name))
  }
  expect(await run(process.execPath, [join(root, "node_modules/typescript/bin/tsc")], { cwd: dir })).toMatchObject({
    code: 0,
    stdout: "",
  })
  const tests = await run(process.execPath, [join(root, "node_modules/vitest/vitest.mjs"), "run"], { cwd: dir })
  expect(tests).toMatchObject({ code: 0, stdout: expect.stringContaining("2 passed") })
}, 120_000)

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

test("new agent --mind writes an agent with instructions, and the models once: it runs offline as it is", async () => {
  vi.stubEnv("OPENAI_API_KEY", "")
  vi.stubEnv("OLLAMA_HOST", "")
  const first = await murmur(["new", "agent", "clerk", "--mind"], { cwd: dir })
  expect(first).toMatchObject({ code: 0, stdout: "agents/clerk.ts\nagents/models.ts\n" })
  const second = await murmur(["new", "agent", "night-clerk", "--mind"], { cwd: dir })
  expect(second).toMatchObject({ code: 0, stdout: "agents/night-clerk.ts\n" })

  const { agents, models = {} } = await new Loader([join(dir, "agents")]).load()
  for (const agent of agents) {
    const data = { subject: "tides", text: "Why are there two a day?" }
    const { emitted, dead } = await testAgent(agent, { models }).when({ type: `${agent.name}.requested`, data })
    expect(dead).toEqual([])
    const answer = "A script has no answer of its own."
    expect(emitted).toMatchObject([
      { type: `${agent.name}.completed`, key: "tides", data: { subject: "tides", answer } },
    ])
  }
  expect(agents.length).toBe(2)
})

test("A project of init runs offline: a note is measured and given a title", async () => {
  vi.stubEnv("OPENAI_API_KEY", "")
  vi.stubEnv("OLLAMA_HOST", "")
  await murmur(["init", dir])
  const { agents, models = {} } = await new Loader([dir]).load()
  const data = { notebook: "inbox", text: "hello there, how are you?" }
  const outputs = agents.map(async (agent) => {
    const { emitted } = await testAgent(agent, { models }).when({ type: "note.added", key: "inbox", data })
    return emitted.map((draft) => [draft.type, draft.data])
  })
  expect((await Promise.all(outputs)).flat()).toEqual([
    ["note.titled", { notebook: "inbox", title: "hello there, how" }],
    ["note.measured", { notebook: "inbox", words: 5 }],
  ])
})
