import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startTestServer, type TestServer } from "../support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "../support/node-process.js"
import { type RunResult, run } from "../support/run.js"
import { type Chart, noHelm, openChart, type Rendered } from "./support/chart.js"
import { type Container, workloads } from "./support/manifests.js"
import { environmentOf, SECRET } from "./support/pod.js"

const MAIN = resolve(import.meta.dirname, "../../dist/cli/main.js")
const AGENTS = resolve(import.meta.dirname, "../fixtures/scaled.ts")
const PODS = ["mesh-murmur-triage-0", "mesh-murmur-triage-1"]

// As docs/kubernetes.md says under "Rights": keys as Secrets, a group with no more rights than its agents need, a deployer.
describe.skipIf(noHelm !== undefined || process.platform === "win32")("a group with rights of its own", () => {
  const auth = mkdtempSync(join(tmpdir(), "murmur-helm-auth-"))
  const nodes: NodeProcess[] = []
  let server: TestServer
  let chart: Chart
  let rendered: Rendered

  const murmur = (args: readonly string[], env: Record<string, string> = {}): Promise<RunResult> =>
    run(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env }, timeoutMs: 60_000 })
  const ok = async (ended: Promise<RunResult>): Promise<string> => {
    const { code, stdout, stderr } = await ended
    if (code !== 0) throw new Error(stderr)
    return stdout
  }
  const containerOf = (kind: string): Container => {
    const [workload] = workloads(rendered.manifests, [kind])
    if (workload === undefined) throw new Error(`no ${kind} was rendered`)
    return workload.container
  }
  const asOperator = (): string[] => ["--nats", server.url, "--nkey", join(auth, "operator.nk"), "--json"]

  beforeAll(async () => {
    await ok(murmur(["auth", "init", "--dir", auth]))
    await ok(murmur(["auth", "add-node", "triage", AGENTS, "--http", "--dir", auth]))
    server = await startTestServer({ config: readFileSync(join(auth, "auth.conf"), "utf8") })
    chart = openChart()
    rendered = await chart.render({
      nats: { url: server.url },
      http: { token: { secret: "http" } },
      deploy: { enabled: true, credentials: { secret: "mesh-deployer", nkey: "deployer.nk" } },
      groups: {
        agents: null,
        triage: { kind: "StatefulSet", paths: [AGENTS], credentials: { secret: "mesh-triage", nkey: "triage.nk" } },
      },
    })
  })
  afterAll(async () => {
    for (const node of nodes) await node.kill9()
    await server?.stop()
    chart?.remove()
    rmSync(auth, { recursive: true, force: true })
  })

  it("cannot deploy with the credentials of its nodes", async () => {
    const job = containerOf("Job")
    const env = environmentOf(job, "job", auth)
    const { code } = await murmur(job.args, { ...env, NATS_NKEY: join(auth, "triage.nk") })
    expect(code).not.toBe(0)
  })

  it("works in several pods of one user, once the job has deployed", { timeout: 90_000 }, async () => {
    const job = containerOf("Job")
    await ok(murmur(job.args, environmentOf(job, "job", auth)))
    const container = containerOf("StatefulSet")
    for (const pod of PODS) {
      const env = { ...environmentOf(container, pod, auth), MURMUR_LISTEN: "127.0.0.1:0" }
      nodes.push(await startNodeProcess(container.args.slice(1), { env }))
    }
    const there = JSON.parse(await ok(murmur(["nodes", ...asOperator()]))) as { id: string }[]
    expect(there.map(({ id }) => id).sort()).toEqual(PODS)
    const response = await fetch(`${nodes[0]?.ready.http}/events`, {
      method: "POST",
      headers: { "content-type": "application/cloudevents+json", authorization: `Bearer ${SECRET}` },
      body: JSON.stringify({ specversion: "1.0", id: "1", source: "/t", type: "scaled.given", data: { key: "k" } }),
    })
    expect(response.status).toBe(202)
    await expect.poll(steps, { timeout: 20_000, interval: 200 }).toBe(3) // one of each agent
    for (const node of nodes.splice(0)) expect(await node.terminate()).toBe(0)
  })

  it("has its lag where KEDA is told to look: in the account that has the streams", async () => {
    const url = `${server.monitorUrl}/jsz?acc=MURMUR&consumers=true&config=true`
    const text = await (await fetch(url)).text()
    const { account_details } = JSON.parse(text) as { account_details: { name: string; stream_detail: object[] }[] }
    expect(account_details.map(({ name }) => name)).toEqual(["MURMUR"])
    expect(JSON.stringify(account_details[0]?.stream_detail)).toContain('"name":"wide=7"')
  })

  const steps = async (): Promise<number> => {
    const agents = JSON.parse(await ok(murmur(["agents", ...asOperator()]))) as { steps: number }[]
    return agents.reduce((sum, agent) => sum + agent.steps, 0)
  }
})
