import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { beforeAll, beforeEach, expect, onTestFinished, test } from "vitest"
import { buildCli, errorOf, murmur } from "./support/cli.js"

const AGENT = `import { defineAgent, defineEvent } from "murmur"
import { z } from "zod"
const Knock = defineEvent("door.knocked", z.object({}))
export default defineAgent("porter", { on: [Knock], handle() {} })
`

let dir = ""
beforeAll(buildCli, 120_000)
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "murmur-build-"))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
})

/** Runs "murmur build" with a Docker client that fails as it is told, or with none. */
async function build(folder: string, client?: string) {
  const bin = join(dir, "bin")
  mkdirSync(bin)
  if (client !== undefined) {
    writeFileSync(join(bin, "docker"), `#!/bin/sh\n${client}\n`)
    chmodSync(join(bin, "docker"), 0o755)
  }
  const path = client === undefined ? bin : `${bin}${delimiter}${process.env.PATH}`
  return murmur(["build", folder, "-t", "shop:1", "--json"], { env: { PATH: path } })
}

function agents(files: Record<string, string>): string {
  const folder = join(dir, "agents")
  mkdirSync(folder)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

test("build needs a name for the image", async () => {
  const result = await murmur(["build", dir])
  expect(result.code).toBe(2)
  expect(result.stderr).toContain('"murmur build" needs --tag <image>')
})

test("build says which folder is not there", async () => {
  const result = await build(join(dir, "nothing"))
  expect(result.code).toBe(1)
  expect(errorOf(result)).toMatchObject({
    code: "BUILD_FOLDER",
    message: expect.stringContaining(join(dir, "nothing")),
  })
})

test("build says that a folder has no agents", async () => {
  expect(errorOf(await build(agents({ "a.ts": "export const a = 1\n" })))).toMatchObject({ code: "BUILD_EMPTY" })
})

test("build says which file does not load, before it asks for Docker", async () => {
  const result = await build(agents({ "good.ts": AGENT, "broken.ts": "export const = 1\n" }))
  expect(errorOf(result)).toMatchObject({ code: "LOAD_FILE", message: expect.stringContaining("broken.ts") })
})

test("build says that Docker is not installed", async () => {
  expect(errorOf(await build(agents({ "a.ts": AGENT })))).toMatchObject({ code: "DOCKER_MISSING" })
})

test.skipIf(process.platform === "win32")("build says why the engine does not answer", async () => {
  const result = await build(agents({ "a.ts": AGENT }), "echo 'is the daemon running?' >&2; exit 1")
  expect(errorOf(result)).toMatchObject({
    code: "DOCKER_UNREACHABLE",
    message: expect.stringContaining("is the daemon running?"),
  })
})

test.skipIf(process.platform === "win32")("build says how to get murmur's own image when it is not there", async () => {
  const result = await build(agents({ "a.ts": AGENT }), 'case "$1" in version) exit 0;; *) exit 1;; esac')
  expect(errorOf(result)).toMatchObject({
    code: "BUILD_BASE",
    message: expect.stringContaining("docker build -f deploy/Dockerfile -t murmur:"),
  })
})
