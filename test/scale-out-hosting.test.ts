import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { openBus } from "../src/bus/bus.js"
import { buildCli, errorOf, jsonOf, murmurAt } from "./cli/support/cli.js"
import { until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "./support/node-process.js"

const AGENTS = `
import { defineAgent, defineEvent, defineSource } from "murmur"
import { z } from "zod"
const Said = defineEvent("note.said", z.object({ by: z.string() }))
const handle = (name) => (event, ctx) => ctx.emit(Said({ by: name }))
export const light = defineAgent("light", { on: ["note.added"], emits: [Said], handle: handle("light") })
export const lean = defineAgent("lean", { on: ["note.added"], emits: [Said], handle: handle("lean") })
export const heavy = defineAgent("heavy", {
  on: ["note.added"], emits: [Said], nodeSelector: { gpu: "true" }, handle: handle("heavy"),
})
export const files = defineSource("files", { emits: [Said], run: async () => {}, nodeSelector: { disk: "shared" } })
`

let folder: string
let file: string
let server: TestServer
const closing: (() => Promise<unknown> | unknown)[] = []
beforeAll(async () => {
  await buildCli()
  folder = mkdtempSync(join(tmpdir(), "murmur-hosting-"))
  file = join(folder, "agents.js")
  writeFileSync(file, AGENTS)
  writeFileSync(join(folder, "package.json"), JSON.stringify({ version: "7.1.0" }))
  server = await startTestServer()
})
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})
afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function up(mesh: string, args: readonly string[], env: Record<string, string> = {}): Promise<NodeProcess> {
  const node = await startNodeProcess([file, "--nats", server.url, "--mesh", mesh, "--no-http", ...args], { env })
  closing.push(() => (node.child.exitCode === null ? node.kill9() : undefined))
  return node
}

const cli = (mesh: string, ...args: string[]) => murmurAt(server.url)(...args, "--mesh", mesh)

interface Agent {
  readonly name: string
  readonly state: string
  readonly why: string | null
  readonly nodes: string[]
}

test("nodes of the same files host what they are told to and are labelled for; routes and catalogue know it all", {
  timeout: 90_000,
}, async () => {
  const agents = async (): Promise<Agent[]> =>
    jsonOf<Agent[]>(await cli("parts", "agents", "--json")).map(({ name, state, why, nodes }) => ({
      ...{ name, state, why, nodes },
    }))
  await up("parts", ["--agents", "light"], { MURMUR_NODE_ID: "one" })
  expect(await agents()).toEqual([
    { name: "heavy", state: "stopped", why: "no node that is alive has the labels gpu=true", nodes: [] },
    { name: "lean", state: "stopped", why: "no node that is alive hosts it (--agents)", nodes: [] },
    { name: "light", state: "running", why: null, nodes: ["one"] },
  ])
  const env = { MURMUR_NODE_ID: "two", MURMUR_LABELS: "gpu=false,zone=eu", MURMUR_CODE_VERSION: "sha-4f2a" }
  await up("parts", ["--label", "gpu=true", "--label", "disk=shared"], env)
  const running = (await agents()).map(({ name, nodes }) => [name, ...nodes])
  expect(running).toEqual([
    ["heavy", "two"],
    ["lean", "two"],
    ["light", "one", "two"],
  ])
  const nodes = jsonOf<object[]>(await cli("parts", "nodes", "--json"))
  expect(nodes).toMatchObject([
    { id: "one", agents: ["light"], sources: [], labels: {}, codeVersion: "7.1.0" },
    {
      id: "two",
      agents: ["heavy", "lean", "light"],
      sources: ["files"],
      labels: { gpu: "true", zone: "eu", disk: "shared" },
      codeVersion: "sha-4f2a",
    },
  ])
  const people = (await cli("parts", "nodes")).stdout
  expect(people).toContain("gpu=true, zone=eu, disk=shared")
  expect(people).toContain("sha-4f2a")
  const routes = jsonOf<{ agent: string }[]>(await cli("parts", "routes", "--json"))
  expect(routes.map(({ agent }) => agent).sort()).toEqual(["heavy", "lean", "light"])
  await up("parts", ["--agents", "l*"], { MURMUR_NODE_ID: "three" })
  expect(jsonOf<object[]>(await cli("parts", "routes", "--json")), "who comes later removes nothing").toEqual(routes)
  const bus = await openBus({ url: server.url, name: "tester", mesh: "parts" })
  closing.push(() => bus.close())
  await bus.publish({ type: "note.added", data: {} }, { producer: "cli" })
  const by: string[] = []
  for await (const event of bus.observe("note.said", { from: "start", signal: AbortSignal.timeout(20_000) })) {
    by.push((event.data as { by: string }).by)
    if (by.length === 3) break
  }
  expect(by.sort()).toEqual(["heavy", "lean", "light"])
})

test("a node without what an agent asks for says so, and runs on without it", { timeout: 60_000 }, async () => {
  const node = await up("none", ["--agents", "heavy"], { MURMUR_LABELS: "gpu=no" })
  expect(node.ready.agents).toEqual([])
  expect(node.stderr()).toContain(
    'murmur: "heavy" asks for a node with the labels gpu=true\nmurmur: nothing is left that this node hosts (see --label)\n',
  )
  expect(await node.terminate()).toBe(0)
})

test.each([
  [["--agents", "ligt"], {}, 1, "AGENT_UNKNOWN", 'define no agent or source of that name; did you mean "light"?'],
  [[], { MURMUR_AGENTS: "x-*" }, 1, "AGENT_UNKNOWN", 'they define "heavy", "lean", "light", "files"'],
  [["--agents", "a b"], {}, 2, "USAGE", "--agents must be names or patterns with commas in between"],
  [["--label", "gpu"], {}, 2, "USAGE", '--label must be key=value, is "gpu"'],
  [["--label", "a b=c"], {}, 2, "USAGE", "--label: its key must be letters"],
  [[], { MURMUR_LABELS: "gpu" }, 2, "USAGE", 'MURMUR_LABELS must be key=value, is "gpu"'],
  [["--grace", "soon"], {}, 2, "USAGE", "--grace must be a whole number from 0 to 86400"],
  [[], { MURMUR_GRACE: "-1" }, 2, "USAGE", "MURMUR_GRACE must be a whole number"],
] as const)("murmur up %j %j is refused: exit %i, %s", async (args, env, code, name, message) => {
  const { murmur } = await import("./cli/support/cli.js")
  const result = await murmur(["up", file, "--nats", server.url, "--no-http", "--json", ...args], { env })
  expect([result.code, errorOf(result).code]).toEqual([code, name])
  expect(errorOf(result).message).toContain(message)
})

test("an agent that is on no node any more is shown with the reason", { timeout: 60_000 }, async () => {
  const node = await up("gone", ["--agents", "lean"])
  expect(await node.terminate()).toBe(0)
  const stopped = async (): Promise<boolean> => {
    const found = jsonOf<Agent[]>(await cli("gone", "agents", "--json")).find(({ name }) => name === "lean")
    return found?.state === "stopped" && found.why === "no node is alive"
  }
  await until("it is shown as stopped", stopped)
})
