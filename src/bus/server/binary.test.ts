import { createHash } from "node:crypto"
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import { type AddressInfo, createServer as createTcpServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest"
import { makeTarGz } from "../../../test/support/archives.js"
import { ensureServerBinary, findServer } from "./binary.js"
import { cachedPath } from "./cache.js"
import { RELEASE_VERSION } from "./pins.js"
import { cacheRoot, type Platform, thisPlatform } from "./platform.js"
import { parseVersion } from "./probe.js"
import type { ServerProgress } from "./progress.js"
import type { Setting } from "./ways.js"

const platform: Platform = { os: thisPlatform().os, arch: "amd64" }
const archive = `nats-server-v${RELEASE_VERSION}-${platform.os}-amd64.tar.gz`
const sha256 = (data: Buffer): string => createHash("sha256").update(data).digest("hex")

/** Stands for a server: it says a version and no more. */
const program = (version: string): string => `#!/bin/sh\necho "nats-server: v${version}"\n`

let dir = ""
let setting: Setting
let host: Server
let served: Record<string, Buffer> = {}
let asked: string[] = []

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "murmur-binary-"))
  served = {}
  asked = []
  host = createServer((request, response) => {
    const name = request.url?.slice(1) ?? ""
    asked.push(name)
    const body = served[name]
    if (body === undefined) response.writeHead(404).end()
    else response.writeHead(200, { "content-length": body.length }).end(body)
  })
  await new Promise<void>((resolve) => host.listen(0, "127.0.0.1", resolve))
  setting = {
    env: { PATH: join(dir, "bin") },
    platform,
    cacheRoot: join(dir, "cache"),
    aptRoot: join(dir, "apt"),
    releaseBase: `http://127.0.0.1:${(host.address() as AddressInfo).port}`,
    releaseDigests: {},
    debianDigests: {},
    limits: { answerMs: 300, idleMs: 300 },
    signal: undefined,
    onProgress: undefined,
  }
})
afterEach(() => {
  host.closeAllConnections()
  host.close()
  rmSync(dir, { recursive: true, force: true })
})

function install(path: string, version: string): string {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, program(version))
  chmodSync(path, 0o755)
  return path
}

/** Puts an archive with a server on the host, with its digest pinned. */
function release(version = RELEASE_VERSION): void {
  const body = makeTarGz({ "release/README.md": "", "release/nats-server": program(version) })
  served[archive] = body
  setting = { ...setting, releaseDigests: { [archive]: sha256(body) } }
}

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)

test.each([
  ["nats-server: v2.15.1\n", "2.15.1"],
  ["nats-server: v2.14.0-RC.3\n", "2.14.0-RC.3"],
  ["nats-server: 2.14.5\n", "2.14.5"],
  ["nats: v0.1.5\n", undefined],
  ["", undefined],
])("what --version prints is read: %j", (output, version) => {
  expect(parseVersion(output)).toBe(version)
})

test("the ways are gone in their order: option, variable, PATH, cache, release", async () => {
  release()
  const named = install(join(dir, "named", "server"), "2.16.0")
  const variable = install(join(dir, "variable", "server"), "2.17.0")
  const onPath = install(join(dir, "bin", "nats-server"), "2.14.1")
  const cached = install(cachedPath(setting.cacheRoot, "2.15.3", platform), "2.15.3")
  const withVariable = { ...setting, env: { ...setting.env, NATS_SERVER_BIN: variable } }
  expect(await findServer(named, withVariable)).toEqual({ path: named, version: "2.16.0", origin: "option" })
  expect(await findServer(undefined, withVariable)).toEqual({ path: variable, version: "2.17.0", origin: "env" })
  expect(await findServer(undefined, setting)).toEqual({ path: onPath, version: "2.14.1", origin: "path" })
  rmSync(onPath)
  expect(await findServer(undefined, setting)).toEqual({ path: cached, version: "2.15.3", origin: "cache" })
  rmSync(cached)
  expect(asked).toEqual([])
  const path = cachedPath(setting.cacheRoot, RELEASE_VERSION, platform)
  expect(await findServer(undefined, setting)).toEqual({ path, version: RELEASE_VERSION, origin: "release" })
  expect(await findServer(undefined, setting)).toMatchObject({ path, origin: "cache" })
  expect(asked).toEqual([archive])
})

test("a binary on PATH that is too old is passed over, also for a newer one further on", async () => {
  install(join(dir, "bin", "nats-server"), "2.10.27")
  const newer = install(join(dir, "more", "nats-server"), "2.14.0")
  const env = { PATH: `${join(dir, "bin")}:${join(dir, "more")}` }
  expect(await findServer(undefined, { ...setting, env })).toMatchObject({ path: newer, origin: "path" })
  release()
  expect(await findServer(undefined, setting)).toMatchObject({ origin: "release" })
})

test("a named binary that is too old is refused with both versions, however many others there are", async () => {
  install(join(dir, "bin", "nats-server"), "2.15.0")
  const old = install(join(dir, "old"), "2.10.27")
  const error = { code: "SERVER_TOO_OLD", details: { path: old, found: "2.10.27", wanted: "2.14.0" } }
  await expect(findServer(old, setting)).rejects.toMatchObject(error)
  const env = { ...setting.env, NATS_SERVER_BIN: old }
  await expect(findServer(undefined, { ...setting, env })).rejects.toMatchObject(error)
})

test("a named binary that is missing, or something else, is refused with the reason", async () => {
  const other = join(dir, "other")
  writeFileSync(other, "#!/bin/sh\necho hello\n", { mode: 0o755 })
  await expect(findServer(join(dir, "none"), setting)).rejects.toMatchObject({
    code: "SERVER_BINARY",
    message: expect.stringContaining("there is no such file"),
  })
  await expect(findServer(other, setting)).rejects.toThrow("it does not say a nats-server version")
  chmodSync(other, 0o644)
  await expect(findServer(other, setting)).rejects.toThrow("it may not be executed")
})

test("an archive with another digest is refused, and nothing of it stays", async () => {
  release()
  served[archive] = makeTarGz({ "release/nats-server": program("6.6.6") })
  await expect(findServer(undefined, setting)).rejects.toThrow(/SHA-256 is [0-9a-f]{64}, wanted [0-9a-f]{64}: refused/)
  expect(() => readdirSync(setting.cacheRoot)).toThrow("ENOENT")
})

test("an archive whose server does not run here is refused, and nothing of it stays", async () => {
  const body = makeTarGz({ "release/nats-server": "\x7fELF for another processor" })
  served[archive] = body
  setting = { ...setting, releaseDigests: { [archive]: sha256(body) } }
  await expect(findServer(undefined, setting)).rejects.toMatchObject({ code: "SERVER_BINARY" })
  expect(filesBelow(setting.cacheRoot)).toEqual([])
})

test("a platform without a digest of its own gets it from the release's list, which is pinned", async () => {
  release()
  const sums = Buffer.from(`${"0".repeat(64)}  other.tar.gz\n${setting.releaseDigests[archive]}  ${archive}\n`)
  served.SHA256SUMS = sums
  const pinned = { ...setting, releaseDigests: { SHA256SUMS: sha256(sums) } }
  expect(await findServer(undefined, pinned)).toMatchObject({ origin: "release" })
  rmSync(setting.cacheRoot, { recursive: true })
  const forged = { ...setting, releaseDigests: { SHA256SUMS: sha256(Buffer.from("another list")) } }
  await expect(findServer(undefined, forged)).rejects.toThrow("SHA256SUMS: its SHA-256 is")
})

test("two that fetch at the same time both get a server that runs, and leave nothing half done", async () => {
  release()
  const found = await Promise.all([findServer(undefined, setting), findServer(undefined, setting)])
  expect(found.map(({ version }) => version)).toEqual([RELEASE_VERSION, RELEASE_VERSION])
  expect(filesBelow(setting.cacheRoot)).toEqual(["nats-server"])
})

test("a host that takes the connection and says nothing is given up soon, and the error names every way", async () => {
  const silent = createTcpServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve))
  onTestFinished(() => void silent.close())
  const releaseBase = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
  install(join(dir, "bin", "nats-server"), "2.9.0")
  const begin = performance.now()
  const error = await findServer(undefined, {
    ...setting,
    releaseBase,
    releaseDigests: { [archive]: "0".repeat(64) },
  }).catch((thrown: Error) => thrown)
  expect(performance.now() - begin).toBeLessThan(5_000)
  expect(error).toMatchObject({ code: "SERVER_BINARY" })
  expect((error as Error).message.split("\n")).toEqual([
    expect.stringContaining(`nats-server 2.14.0 or newer for ${platform.os}-amd64. Tried:`),
    `  - PATH: ${join(dir, "bin", "nats-server")} is 2.9.0, wanted 2.14.0 or newer`,
    `  - cache: ${join(setting.cacheRoot, "nats-server")} holds none`,
    `  - release v${RELEASE_VERSION}: ${releaseBase}/${archive}: no answer within 300 ms`,
    "  - Debian package 2.15.1: this machine has no apt sources over http or https",
    expect.stringContaining("name it in NATS_SERVER_BIN"),
  ])
})

test("progress says what is downloaded and how far it is", async () => {
  release()
  const told: ServerProgress[] = []
  await findServer(undefined, { ...setting, onProgress: (progress) => told.push(progress) })
  expect([...new Set(told.map(({ phase }) => phase))]).toEqual(["download", "verify", "unpack"])
  const total = served[archive]?.length
  expect(told.filter(({ phase }) => phase === "download").at(-1)).toMatchObject({
    receivedBytes: total,
    totalBytes: total,
  })
})

test("an abort ends the search with its own reason, not as one more way that failed", async () => {
  release()
  const abort = new AbortController()
  const search = findServer(undefined, {
    ...setting,
    signal: abort.signal,
    onProgress: () => abort.abort(new Error("changed my mind")),
  })
  await expect(search).rejects.toThrow("changed my mind")
  expect(filesBelow(dir)).not.toContain("nats-server")
})

test("an unknown option is named", async () => {
  await expect(ensureServerBinary({ binary: "x" } as never)).rejects.toThrow('unknown option "binary"')
  await expect(ensureServerBinary({ bin: "" })).rejects.toMatchObject({ code: "SERVER_OPTION" })
})

test.each([
  ["linux", { HOME: "/home/u" }, "/home/u/.cache/murmur"],
  ["linux", { HOME: "/home/u", XDG_CACHE_HOME: "/x" }, "/x/murmur"],
  ["darwin", { HOME: "/Users/u" }, "/Users/u/Library/Caches/murmur"],
  ["windows", { HOME: "/u", LOCALAPPDATA: "/u/local" }, "/u/local/murmur"],
  ["linux", { HOME: "/home/u", XDG_CACHE_HOME: "/x", MURMUR_CACHE_DIR: "/own" }, "/own"],
])("the cache lies where %s keeps caches: %j", (os, env, path) => {
  expect(cacheRoot(env, { os, arch: "amd64" })).toBe(path)
})
