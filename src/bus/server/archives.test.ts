import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gunzipSync, gzipSync } from "node:zlib"
import { expect, onTestFinished, test } from "vitest"
import { makeTarGz, makeZip } from "../../../test/support/archives.js"
import { fileFromTarGz } from "./untar.js"
import { fileFromZip } from "./unzip.js"

const content = Buffer.from("program ".repeat(5_000))
const files = { "release/": "", "release/README.md": "read me", "release/nats-server": content, "release/LICENSE": "" }

test("the server is found in a tar archive among other files", () => {
  expect(fileFromTarGz(makeTarGz(files), "nats-server").equals(content)).toBe(true)
})

test("a folder of the server's name in a tar archive is not the server", () => {
  const archive = makeTarGz({ "nats-server/": "", "nats-server/README.md": "" })
  expect(() => fileFromTarGz(archive, "nats-server")).toThrow('no file "nats-server"')
})

test("a tar archive as the system's own tool writes it can be read", () => {
  const dir = mkdtempSync(join(tmpdir(), "murmur-tar-"))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  writeFileSync(join(dir, "nats-server"), content)
  execFileSync("tar", ["-czf", "a.tar.gz", "./nats-server"], { cwd: dir })
  expect(fileFromTarGz(readFileSync(join(dir, "a.tar.gz")), "nats-server").equals(content)).toBe(true)
})

test("a tar archive that is cut off is refused", () => {
  const whole = gunzipSync(makeTarGz(files))
  expect(() => fileFromTarGz(gzipSync(whole.subarray(0, 10_000)), "nats-server")).toThrow("cut off")
  expect(() => fileFromTarGz(makeTarGz(files).subarray(0, 100), "nats-server")).toThrow()
})

test.each([
  ["packed", {}],
  ["stored", { store: true }],
  ["with a comment behind it", { comment: "a comment" }],
])("the server is found in a zip archive, %s", (_what, options) => {
  const archive = makeZip({ "release/README.md": "read me", "release/nats-server.exe": content }, options)
  expect(fileFromZip(archive, "nats-server.exe").equals(content)).toBe(true)
})

test("a zip archive that is cut off, or without the server, is refused", () => {
  const archive = makeZip({ "release/README.md": "read me" })
  expect(() => fileFromZip(archive, "nats-server.exe")).toThrow('no file "nats-server.exe"')
  expect(() => fileFromZip(archive.subarray(0, archive.length - 30), "nats-server.exe")).toThrow("cut off")
  expect(() => fileFromZip(Buffer.alloc(0), "nats-server.exe")).toThrow("cut off")
})
