import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { findServer } from "./binary.js"
import { cachedPath } from "./cache.js"
import { DEBIAN_POOL, DEBIAN_VERSION } from "./pins.js"
import type { Setting } from "./ways.js"

/** Part of the distribution, not one of our packages. */
const DPKG = "dpkg-deb"
const name = `nats-server_${DEBIAN_VERSION}-1_amd64.deb`
const platform = { os: "linux", arch: "amd64" }

const hasDpkg = ((): boolean => {
  try {
    execFileSync(DPKG, ["--version"])
    return true
  } catch {
    return false
  }
})()

/** A package as the distribution's, but with a script for a server. */
function makePackage(dir: string): Buffer {
  const root = join(dir, "package")
  mkdirSync(join(root, "DEBIAN"), { recursive: true })
  mkdirSync(join(root, "usr", "sbin"), { recursive: true })
  const control = `Package: nats-server\nVersion: ${DEBIAN_VERSION}-1\nArchitecture: amd64\nMaintainer: a\nDescription: b\n`
  writeFileSync(join(root, "DEBIAN", "control"), control)
  const script = `#!/bin/sh\necho "nats-server: v${DEBIAN_VERSION}"\n`
  writeFileSync(join(root, "usr", "sbin", "nats-server"), script, { mode: 0o755 })
  execFileSync(DPKG, ["--build", "--root-owner-group", root, join(dir, name)])
  return readFileSync(join(dir, name))
}

async function setUp(): Promise<{ setting: Setting; asked: string[]; body: Buffer }> {
  const dir = mkdtempSync(join(tmpdir(), "murmur-debian-"))
  const body = makePackage(dir)
  const asked: string[] = []
  const host = createServer((request, response) => {
    asked.push(request.url ?? "")
    if (request.url === `/debian/${DEBIAN_POOL}/${name}`) response.end(body)
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => host.listen(0, "127.0.0.1", resolve))
  onTestFinished(() => {
    host.closeAllConnections()
    host.close()
    rmSync(dir, { recursive: true, force: true })
  })
  const base = `http://127.0.0.1:${(host.address() as AddressInfo).port}`
  mkdirSync(join(dir, "apt"))
  writeFileSync(
    join(dir, "apt", "sources.list"),
    `deb ${base}/old/debian stable main\ndeb ${base}/debian stable main\ndeb ${base}/vendor stable main\n`,
  )
  const setting: Setting = {
    env: {},
    platform,
    cacheRoot: join(dir, "cache"),
    aptRoot: join(dir, "apt"),
    releaseBase: `${base}/release`,
    releaseDigests: {},
    debianDigests: { [name]: createHash("sha256").update(body).digest("hex") },
    limits: { answerMs: 2_000, idleMs: 2_000 },
    signal: undefined,
    onProgress: undefined,
  }
  return { setting, asked, body }
}

test.skipIf(!hasDpkg)("without the release, the package comes from a mirror of the machine's apt sources", async () => {
  const { setting, asked } = await setUp()
  const path = cachedPath(setting.cacheRoot, DEBIAN_VERSION, platform)
  expect(await findServer(undefined, setting)).toEqual({ path, version: DEBIAN_VERSION, origin: "debian" })
  expect(asked).toEqual([`/old/debian/${DEBIAN_POOL}/${name}`, `/debian/${DEBIAN_POOL}/${name}`])
  expect(await findServer(undefined, setting)).toMatchObject({ path, origin: "cache" })
})

test.skipIf(!hasDpkg)("a package with another digest is refused, and the error names every mirror", async () => {
  const { setting } = await setUp()
  const error = await findServer(undefined, { ...setting, debianDigests: { [name]: "0".repeat(64) } }).catch(String)
  expect(error).toContain(`/old/debian/${DEBIAN_POOL}/${name}: the host answered 404; `)
  expect(error).toMatch(/\/debian\/pool\S+: its SHA-256 is [0-9a-f]{64}, wanted 0{64}: refused/)
  expect(() => readFileSync(cachedPath(setting.cacheRoot, DEBIAN_VERSION, platform))).toThrow("ENOENT")
})

test.skipIf(!hasDpkg)("a processor that the package is not pinned for gets no package", async () => {
  const { setting, asked } = await setUp()
  const other = { ...setting, platform: { os: "linux", arch: "s390x" } }
  await expect(findServer(undefined, other)).rejects.toThrow(
    `no digest is known for nats-server_${DEBIAN_VERSION}-1_s390x.deb`,
  )
  expect(asked).toEqual([])
})
