import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest"
import { startLocalServer } from "../../src/bus/server/index.js"
import { testBinary } from "../support/binary.js"
import { buildCli, errorOf, murmur } from "./support/cli.js"
import { startMesh, type TestMesh } from "./support/mesh.js"

interface Check {
  check: string
  ok: boolean
  detail: string
  fix: string | null
}

let mesh: TestMesh
beforeAll(async () => {
  await buildCli()
  mesh = await startMesh()
}, 120_000)
afterAll(() => mesh?.stop())

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), "murmur-doctor-"))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }))
  return dir
}

/** What the doctor says, and how it ended. */
async function doctor(env: NodeJS.ProcessEnv, ...args: string[]) {
  const result = await murmur(["doctor", "--json", ...args], { env: { NATS_SERVER_BIN: testBinary(), ...env } })
  const checks = JSON.parse(result.stdout) as Check[]
  const failed = checks.filter(({ ok }) => !ok).map(({ check }) => check)
  return { ...result, checks, failed, of: (name: string) => checks.find(({ check }) => check === name) }
}

test("On a mesh that works every check passes", async () => {
  const { code, checks, failed } = await doctor({ NATS_URL: mesh.server.url })
  expect({ code, failed }).toEqual({ code: 0, failed: [] })
  expect(checks.map(({ check }) => check)).toEqual([
    ...["node", "nats-server", "secrets", "connection", "tls", "payload", "rights", "jetstream", "sync interval"],
    ...["streams", "copies", "room", "clock", "nodes", "agents", "consumers", "lag", "dead letters"],
  ])
  for (const check of checks) expect(Object.keys(check)).toEqual(["check", "ok", "detail", "fix"])
})

test("Where nothing runs it says so and how to start", async () => {
  const result = await doctor({ MURMUR_DIR: join(folder(), ".murmur") })
  expect({ code: result.code, failed: result.failed }).toEqual({ code: 1, failed: ["connection"] })
  expect(result.of("connection")?.fix).toContain("murmur up")
  expect(result.of("disk")).toMatchObject({ ok: true, detail: expect.stringContaining("GiB free") })
  expect(errorOf(result).code).toBe("DOCTOR")
})

test("A server without the mesh has no streams", async () => {
  const { code, failed, of } = await doctor({ NATS_URL: mesh.server.url }, "--mesh", "other")
  expect({ code, failed }).toEqual({ code: 1, failed: ["streams"] })
  expect(of("streams")?.detail).toContain("other_EVENTS")
})

test("A local server tells whether an ack means disk", async () => {
  const dir = join(folder(), ".murmur")
  const always = await startLocalServer({ dir, port: 0, bin: testBinary() })
  expect((await doctor({ MURMUR_DIR: dir })).of("sync interval")).toMatchObject({
    ok: true,
    detail: expect.stringContaining("always"),
  })
  await always.stop()
  const seldom = await startLocalServer({ dir, port: 0, bin: testBinary(), syncInterval: "2m" })
  onTestFinished(() => seldom.stop())
  expect((await doctor({ MURMUR_DIR: dir })).of("sync interval")?.ok).toBe(false)
})

test("A server binary that does not run is named", async () => {
  const { of } = await doctor({ NATS_URL: mesh.server.url, NATS_SERVER_BIN: "/nonexistent/nats-server" })
  expect(of("nats-server")).toMatchObject({ ok: false, detail: expect.stringContaining("/nonexistent/nats-server") })
})

test("Credentials that others can read, and secrets that are short, are told", async () => {
  const creds = join(folder(), "node.creds")
  writeFileSync(creds, "secret")
  chmodSync(creds, 0o644)
  const env = { NATS_URL: mesh.server.url, GITHUB_WEBHOOK_SECRET: "short,0123456789abcdef0123" }
  const { of, code } = await doctor(env, "--creds", creds)
  expect(code).toBe(1)
  expect(of("credentials")).toMatchObject({ ok: false, fix: `chmod 600 ${creds}` })
  expect(of("secrets")).toMatchObject({ ok: false, detail: expect.stringContaining("GITHUB_WEBHOOK_SECRET") })
  expect(JSON.stringify(of("secrets"))).not.toContain("0123456789")
})

test("Streams that were changed, agents without a node and consumers without an agent are found", async () => {
  const other = await startMesh()
  onTestFinished(() => other.stop())
  const { manager } = other.bus.link
  await manager.consumers.add(other.bus.names.events, { durable_name: "stray", ack_policy: "explicit" })
  await manager.streams.update(other.bus.names.events, { max_age: 3_600 * 1e9 })
  await manager.streams.update(other.bus.names.dead, { allow_direct: false })
  await other.node.stop(1_000)
  const { failed, of } = await doctor({ NATS_URL: other.server.url })
  expect(failed).toEqual(["streams", "nodes", "agents", "consumers"])
  expect(of("streams")?.detail).toContain("murmur_DEAD.allow_direct")
  expect(of("agents")?.detail).toContain("counter")
  expect(of("consumers")?.detail).toContain("stray")
})
