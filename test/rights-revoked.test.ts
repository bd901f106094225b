import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join, resolve } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import { authAddNode } from "../src/cli/auth/add-node.js"
import { authCheck } from "../src/cli/auth/check.js"
import { authInit } from "../src/cli/auth/init.js"
import { authRevoke } from "../src/cli/auth/revoke.js"
import { authRotate } from "../src/cli/auth/rotate.js"
import type { Cli } from "../src/cli/cli.js"
import { applyPlan, planDeployment } from "../src/node/deployment/deploy.js"
import { Loader } from "../src/node/loader.js"
import { MurmurNode } from "../src/node/node.js"
import { noTelemetry } from "../src/telemetry/ports.js"
import { take, until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

const AGENTS = resolve(import.meta.dirname, "fixtures/counting.ts")

let dir: string
let server: TestServer | undefined
const closing: (() => Promise<unknown>)[] = []
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "murmur-auth-"))
})
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  await server?.stop()
  server = undefined
  rmSync(dir, { recursive: true, force: true })
})

/** A command line that prints nowhere. */
function cli(nats?: string, caFile?: string): Cli & { readonly printed: unknown[] } {
  const printed: unknown[] = []
  const out = { terminal: false, json: async (value: unknown) => void printed.push(value) } as unknown as Cli["out"]
  return { options: { nats, mesh: "murmur", login: { caFile }, json: true }, out, printed }
}

/** A server looks for what it includes beside its own configuration. */
const include = (file: string): string => `include ${JSON.stringify(join("..", basename(dir), file))}`

const login = (name: string, jwt: boolean) =>
  jwt ? { credsFile: join(dir, `${name}.creds`) } : { nkeyFile: join(dir, `${name}.nk`) }

async function connect(name: string, jwt: boolean, more: object = {}): Promise<Bus> {
  const bus = await openBus({ url: server?.url ?? "", name, mesh: "murmur", ...login(name, jwt), ...more })
  closing.push(() => bus.close())
  return bus
}

async function deploy(jwt: boolean, more: object = {}): Promise<Bus> {
  const admin = await connect("deployer", jwt, { layout: "agent", ...more })
  const { agents, sources } = await new Loader([AGENTS]).load()
  await applyPlan(await planDeployment(admin, { agents, sources }), AbortSignal.timeout(20_000))
  return admin
}

async function startNode(bus: Bus): Promise<MurmurNode> {
  const node = await MurmurNode.start({ bus, telemetry: noTelemetry, ...(await new Loader([AGENTS]).load()) })
  closing.push(() => node.stop(1_000))
  return node
}

/** Changes what servers include, and waits until the server goes by it. */
async function reloading(change: (pid: number) => Promise<void>): Promise<void> {
  const reloads = (): number => (server?.log() ?? "").split("Reloaded server configuration").length
  const before = reloads()
  await change(server?.pid ?? 0)
  await until("the server has read it", () => reloads() > before, 5_000)
}

const give = (bus: Bus, n: number) =>
  bus.publish({ type: "work.given", key: "k", id: `work-${n}`, data: { key: "k", n } }, { producer: "cli" })

describe.each([
  { how: "listed in the server's configuration", jwt: false },
  { how: "signed by the operator's key", jwt: true },
])("users that are $how", ({ jwt }) => {
  test("work, are rotated while they work, and are out within five seconds when they are revoked", async () => {
    await authInit(cli(), [], { dir, jwt })
    await authAddNode(cli(), ["node", [AGENTS]], { dir })
    server = await startTestServer({ config: include("auth.conf") })
    const admin = await deploy(jwt)
    const first = await connect("node", jwt)
    await startNode(first)
    await give(admin, 1)
    await take(admin, "work.done", 1)

    const checking = cli(server.url)
    await authCheck(checking, ["node", [AGENTS]], { dir })
    expect(checking.printed).toMatchObject([[{ user: "node", ok: true, missing: [], extra: [], undeployed: [] }]])

    await reloading((pid) => authRotate(cli(), ["node"], { dir, pid }))
    const second = await connect("node", jwt)
    expect(second.link.rights.user).not.toBe(first.link.rights.user)
    await give(admin, 2)
    await take(admin, "work.done", 2)
    expect([first.connected, second.connected]).toEqual([true, true])

    await reloading((pid) => authRevoke(cli(), ["node"], { dir, old: true, pid }))
    await until("the old key is out", () => !first.connected, 5_000)
    expect(second.connected).toBe(true)

    await reloading((pid) => authRevoke(cli(), ["node"], { dir, pid }))
    await until("the new key is out as well", () => !second.connected, 5_000)
    await expect(connect("node", jwt, { connectTimeoutMs: 2_000 })).rejects.toMatchObject({ code: "BUS_CONNECT" })
    // clients try again for a while; whoever is revoked stays out
    const tried = Date.now()
    await until("it was tried again", () => Date.now() - tried > 2_000, 5_000)
    expect([first.connected, second.connected]).toEqual([false, false])
    expect(server.log()).not.toMatch(/violation/i)
  }, 60_000)
})

test("a node works over TLS with the authority that was made, and says what is wrong with another", async () => {
  await authInit(cli(), [], { dir, tls: "nats.example.com,127.0.0.1" })
  await authAddNode(cli(), ["node", [AGENTS]], { dir })
  server = await startTestServer({ config: `${include("auth.conf")}\n${include("tls.conf")}` })
  const caFile = join(dir, "ca.pem")
  const admin = await deploy(false, { caFile })
  await startNode(await connect("node", false, { caFile }))
  await give(admin, 1)
  await take(admin, "work.done", 1)

  const other = mkdtempSync(join(tmpdir(), "murmur-auth-"))
  try {
    await authInit(cli(), [], { dir: other, tls: "127.0.0.1" })
    const wrong = connect("node", false, { caFile: join(other, "ca.pem"), connectTimeoutMs: 2_000 })
    await expect(wrong).rejects.toMatchObject({ code: "BUS_CONNECT", message: expect.stringContaining("--tlsca") })
    await expect(connect("node", false, { connectTimeoutMs: 2_000 })).rejects.toMatchObject({ code: "BUS_CONNECT" })
  } finally {
    rmSync(other, { recursive: true, force: true })
  }
}, 60_000)
