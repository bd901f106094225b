import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, it } from "vitest"
import { readSecretFiles } from "./secret-files.js"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "murmur-secrets-"))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function fileOf(text: string): string {
  const file = join(folder, "secret")
  writeFileSync(file, text)
  return file
}

it("A secret is read from the file that its variable names, without the line's end", () => {
  const env: NodeJS.ProcessEnv = { OPENAI_API_KEY_FILE: fileOf("sk-123\n"), PATH: "/bin" }
  readSecretFiles(env)
  expect(env).toMatchObject({ OPENAI_API_KEY: "sk-123", PATH: "/bin" })
})

it("A secret that is given itself is left alone, and so are the files of other programs", () => {
  const env: NodeJS.ProcessEnv = { MURMUR_TOKEN: "mine", MURMUR_TOKEN_FILE: "/nowhere", SOME_API_KEY_FILE: "/nowhere" }
  const before = { ...env }
  readSecretFiles(env)
  expect(env).toEqual(before)
})

it("A file that is not there, or is empty, is told with its variable", () => {
  const missing = join(folder, "missing")
  expect(() => readSecretFiles({ MURMUR_TOKEN_FILE: missing })).toThrow(
    expect.objectContaining({
      code: "SECRET_FILE",
      message: expect.stringContaining(`MURMUR_TOKEN_FILE, "${missing}"`),
    }),
  )
  expect(() => readSecretFiles({ MURMUR_TOKEN_FILE: fileOf("\n") })).toThrow("the file is empty")
})
