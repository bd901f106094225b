import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it, onTestFinished } from "vitest"
import { inBuildFolder } from "./build-folder.js"

it("A build is given the agents' files, and neither installed packages nor what begins with a dot", async () => {
  const agents = mkdtempSync(join(tmpdir(), ".murmur-agents-")) // a folder whose own name begins with a dot is taken
  onTestFinished(() => rmSync(agents, { recursive: true, force: true }))
  for (const name of ["node_modules/ms", ".git", ".murmur", "lib"]) mkdirSync(join(agents, name), { recursive: true })
  const files = ["a.ts", "lib/b.ts", ".env", "node_modules/ms/index.js", ".git/config", ".murmur/x"]
  for (const name of files) writeFileSync(join(agents, name), name, { mode: 0o600 })
  let seen = ""
  await inBuildFolder(agents, { text: "FROM x\n", dependencies: undefined }, async (folder) => {
    seen = folder
    expect(readdirSync(folder, { recursive: true }).sort()).toEqual([
      "Dockerfile",
      "agents",
      join("agents", "a.ts"),
      join("agents", "lib"),
      join("agents", "lib", "b.ts"),
    ])
    const { mode, mtimeMs } = statSync(join(folder, "agents", "lib", "b.ts"))
    expect(mtimeMs).toBe(0)
    if (process.platform !== "win32") expect(mode & 0o777).toBe(0o644)
    expect(readFileSync(join(folder, "Dockerfile"), "utf8")).toBe("FROM x\n")
  })
  expect(statSync(seen, { throwIfNoEntry: false })).toBeUndefined()
})
