import { existsSync } from "node:fs"
import { resolve } from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"
import { startTestServer } from "./support/nats-server.js"
import { run } from "./support/run.js"
import { collectSnippets } from "./support/snippets/collect.js"
import { runPage } from "./support/snippets/run-page.js"
import { compileSnippets, type Workspace } from "./support/snippets/workspace.js"

const root = resolve(import.meta.dirname, "..")
const { snippets, problems } = collectSnippets(root)
const pagesThatRun = [...new Set(snippets.filter((snippet) => snippet.run).map((snippet) => snippet.page))]
let workspace: Workspace

// Snippets import the package as it was built; an up-to-date build is left as it is.
beforeAll(async () => {
  const build = await run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], {
    cwd: root,
  })
  if (!existsSync(resolve(root, "dist/index.js"))) throw new Error(`murmur cannot be built:\n${build.stdout}`)
  workspace = await compileSnippets(root, snippets)
}, 120_000)
afterAll(() => workspace?.remove())

it("Every code block in README.md and docs is marked so that it can be checked", () => {
  expect(problems).toEqual([])
  expect(snippets.length).toBeGreaterThan(0)
})

it("Every ts snippet compiles against the public surface", () => {
  expect(workspace.problems).toEqual([])
})

it.each(pagesThatRun)(
  "The snippets of %s that are marked to be run do what the page says",
  async (page) => {
    const server = await startTestServer()
    try {
      const own = snippets.filter((snippet) => snippet.page === page)
      expect(await runPage(own, { root, workspace, natsUrl: server.url })).toEqual([])
    } finally {
      await server.stop()
    }
  },
  120_000,
)
