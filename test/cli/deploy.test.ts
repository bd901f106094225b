import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest"
import { openBus } from "../../src/bus/bus.js"
import { streamNames } from "../../src/bus/stream-admin.js"
import { streamInfo } from "../../src/bus/streams.js"
import { startTestServer, type TestServer } from "../support/nats-server.js"
import { buildCli, errorOf, jsonOf, murmur } from "./support/cli.js"

interface Plan {
  mesh: string
  layout: string
  applied: boolean
  changes: {
    kind: string
    name: string
    action: string
    differences: { setting: string; found: unknown; wanted: unknown }[]
  }[]
  refusals: string[]
  warnings: string[]
}

let server: TestServer
let folder = ""
let mesh = ""
let meshes = 0
beforeAll(async () => {
  await buildCli()
  server = await startTestServer()
}, 120_000)
afterAll(() => server?.stop())
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "murmur-deploy-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  mesh = `mesh${++meshes}`
})

const agent = (name: string, partitions = 1): string =>
  `export const ${name} = defineAgent("${name}", { on: ["note.added"], partitions: ${partitions}, handle() {} })`

function write(...agents: string[]): void {
  writeFileSync(join(folder, "agents.ts"), ['import { defineAgent } from "murmur"', ...agents].join("\n"))
}

const deploy = (...args: string[]) =>
  murmur(["deploy", folder, "--mesh", mesh, ...args], { env: { NATS_URL: server.url } })

const planned = (plan: Plan, action: string): string[] =>
  plan.changes.filter((change) => change.action === action).map(({ kind, name }) => `${kind} ${name}`)

test("A plan is shown and nothing is done; --yes does it; the next time there is nothing to do", async () => {
  write(agent("first"), agent("second", 8))
  const shown = await deploy("--plan")
  expect({ code: shown.code, stderr: shown.stderr }).toEqual({ code: 0, stderr: "" })
  expect(shown.stdout).toContain(`Mesh "${mesh}", layout agent`)
  expect(shown.stdout).toMatch(/\+ consumer +second=\* \(8\)/)
  expect(shown.stdout).toMatch(/\d+ to create, 0 to update, 0 to remove; 0 things as needed\./)
  expect(await names()).toEqual([])
  const done = await deploy("--yes")
  expect(done.code).toBe(0)
  expect(done.stdout).toContain("Deployed.")
  const again = await deploy("--yes")
  expect({ code: again.code, stdout: again.stdout }).toEqual({
    code: 0,
    stdout: expect.stringContaining("Nothing to do"),
  })
  expect(again.stdout).not.toContain("Deployed.")
})

test("Programs are given the plan as JSON, with what is found and what is wanted", async () => {
  write(agent("first"))
  expect(jsonOf<Plan>(await deploy("--yes", "--json"))).toMatchObject({ mesh, layout: "agent", applied: true })
  const plan = jsonOf<Plan>(await deploy("--plan", "--json", "--events-age", "2d", "--events-size", "200MiB"))
  expect(plan.applied).toBe(false)
  expect(plan.changes.filter(({ action }) => action !== "none")).toEqual([
    {
      kind: "stream",
      name: `${mesh}_EVENTS`,
      action: "update",
      differences: [
        { setting: "max_age", found: 30 * 86_400e9, wanted: 2 * 86_400e9 },
        { setting: "max_bytes", found: 10 * 1024 ** 3, wanted: 200 * 1024 ** 2 },
      ],
    },
  ])
})

test("Only what is named is deployed, and what else is in the files is not pruned", async () => {
  write(agent("first"), agent("second"))
  const all = jsonOf<Plan>(await deploy("--yes", "--json"))
  expect(planned(all, "create")).toContain("consumer second")
  write(agent("first"), agent("third"))
  const some = jsonOf<Plan>(await deploy("--plan", "--json", "--prune", "--agents", "fir*"))
  expect(planned(some, "create")).toEqual([])
  expect(planned(some, "remove")).toEqual(expect.arrayContaining(["consumer second", "record agent.second"]))
  expect(planned(some, "remove").filter((name) => name.includes("SESSIONS"))).toEqual([])
  const unknown = await deploy("--plan", "--json", "--agents", "thrid")
  expect(errorOf(unknown)).toMatchObject({ code: "AGENT_UNKNOWN", message: expect.stringContaining('"third"') })
})

test("Where nobody can be asked it wants --yes or --plan; other wrong usage is told as well", async () => {
  write(agent("first"))
  for (const [args, said] of [
    [[], "add --yes"],
    [["--yes", "--replicas", "2"], "--replicas must be one of 1, 3, 5"],
    [["--yes", "--layout", "flat"], "--layout must be one of agent, mesh"],
    [["--yes", "--prune-sessions"], "goes with --prune"],
    [["--yes", "--events-age", "soon"], "--events-age must be how long"],
    [["--yes", "--events-size", "lots"], "--events-size must be how many bytes"],
  ] as const) {
    const { code, stderr } = await deploy(...args)
    expect(stderr).toContain(said)
    expect(code).toBe(2)
  }
})

test("A layout that cannot be changed any more is refused, with exit code 1 and the plan", async () => {
  write(agent("first"))
  await deploy("--yes", "--layout", "mesh")
  expect(await names()).toContain(`${mesh}_SESSIONS`)
  const bus = await openBus({ url: server.url, name: "test", mesh })
  await bus.publisher.append(`${mesh}.ses.first.k`, Buffer.from("{}"), 0)
  const same = jsonOf<Plan>(await deploy("--plan", "--json"))
  expect({ layout: same.layout, todo: planned(same, "create") }).toEqual({ layout: "mesh", todo: [] })
  const refused = await deploy("--yes", "--json", "--layout", "agent")
  expect(refused.code).toBe(1)
  expect(errorOf(refused)).toMatchObject({ code: "DEPLOY_REFUSED", message: expect.stringContaining("hold sessions") })
  expect(JSON.parse(refused.stdout)).toMatchObject({ applied: false, refusals: [expect.stringContaining("SESSIONS")] })
  expect((await streamInfo(bus.link.manager, `${mesh}_SESSIONS`))?.state.messages).toBe(1)
  await bus.close()
})

/** The streams of the mesh. */
async function names(): Promise<string[]> {
  const bus = await openBus({ url: server.url, name: "test", mesh })
  const all = await streamNames(bus.link, ">")
  await bus.close()
  return all.filter((name) => name.includes(mesh))
}
