import { resolve } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { loose, narrow, wide } from "../fixtures/scaled.js"
import { startTestServer, type TestServer } from "../support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "../support/node-process.js"
import { type RunResult, run } from "../support/run.js"
import { type Chart, noHelm, openChart, type Rendered } from "./support/chart.js"
import { type Container, find, type Probe, workloads } from "./support/manifests.js"
import { environmentOf, SECRET } from "./support/pod.js"

const MAIN = resolve(import.meta.dirname, "../../dist/cli/main.js")
const POD = "mesh-murmur-agents-6d5f8c9b7-x2x4q"
const AGENTS = resolve(import.meta.dirname, "../fixtures/scaled.ts")

// One pod, as the chart describes it, without Kubernetes: its command, its environment, its probes, its end.
describe.skipIf(noHelm !== undefined || process.platform === "win32")("a pod of the chart", () => {
  let server: TestServer
  let chart: Chart
  let rendered: Rendered
  let container: Container
  let node: NodeProcess

  beforeAll(async () => {
    server = await startTestServer()
    chart = openChart()
    const agents = [wide, narrow, loose].map(({ name, partitions, ordering }) => ({ name, partitions, ordering }))
    rendered = await chart.render({
      nats: { url: server.url },
      http: { token: { secret: "http" } },
      groups: {
        agents: { paths: [AGENTS], preStopSeconds: 1, autoscaling: { enabled: true, agents, maxReplicas: 8 } },
      },
      keda: { natsServerMonitoringEndpoint: new URL(server.monitorUrl).host },
      deploy: { enabled: true },
    })
    container = containerOf("Deployment")
    const [command, ...args] = container.args
    expect(command).toBe("up")
    const deployed = await deploy() // as the hook does, before there is a node
    expect(deployed.code, deployed.stderr).toBe(0)
    const env = environmentOf(container, POD)
    expect(env.MURMUR_LISTEN).toBe("0.0.0.0:4300")
    node = await startNodeProcess(args, { env: { ...env, MURMUR_LISTEN: "0.0.0.0:0" } }) // any free port will do here
  })
  const containerOf = (kind: string): Container => {
    const [workload] = workloads(rendered.manifests, [kind])
    if (workload === undefined) throw new Error(`no ${kind} was rendered`)
    return workload.container
  }
  const deploy = (): Promise<RunResult> => {
    const job = containerOf("Job")
    return run(process.execPath, [MAIN, ...job.args], {
      env: { ...process.env, ...environmentOf(job, POD) },
      timeoutMs: 60_000,
    })
  }
  afterAll(async () => {
    await node?.kill9()
    await server?.stop()
    chart?.remove()
  })

  const ask = async ({ httpGet, timeoutSeconds }: Probe): Promise<number> => {
    const signal = AbortSignal.timeout(timeoutSeconds * 1_000)
    const response = await fetch(`${node.ready.http}${httpGet.path}`, { signal })
    return response.status
  }
  const probes = (): { startup: Probe; liveness: Probe; readiness: Probe } => {
    const { startupProbe, livenessProbe, readinessProbe } = container
    if (!startupProbe || !livenessProbe || !readinessProbe) throw new Error("a probe is missing")
    return { startup: startupProbe, liveness: livenessProbe, readiness: readinessProbe }
  }
  const untilReadiness = async (status: number): Promise<void> => {
    const deadline = Date.now() + 20_000
    while ((await ask(probes().readiness)) !== status) {
      if (Date.now() > deadline) throw new Error(`readiness did not become ${status}`)
      await delay(100)
    }
  }

  it("comes up under its pod's name, and answers all probes", async () => {
    expect(node.ready.agents.sort()).toEqual([loose, narrow, wide].map(({ name }) => name))
    for (const probe of Object.values(probes())) expect(await ask(probe)).toBe(200)
    const { stdout } = await run(process.execPath, [MAIN, "nodes", "--json", "--nats", server.url])
    expect((JSON.parse(stdout) as { id: string }[]).map(({ id }) => id)).toEqual([POD])
  })

  it("finds what the job has deployed; the job of an upgrade has nothing left to do", async () => {
    const again = await deploy()
    expect(again.code, again.stderr).toBe(0)
    expect(again.stdout).toContain("Nothing to do")
  })

  it("takes events from whoever has the token", async () => {
    const publish = (headers: Record<string, string>): Promise<Response> =>
      fetch(`${node.ready.http}/events`, {
        method: "POST",
        headers: { "content-type": "application/cloudevents+json", ...headers },
        body: JSON.stringify({ specversion: "1.0", id: "1", source: "/t", type: "scaled.given", data: { key: "k" } }),
      })
    expect((await publish({})).status).toBe(401)
    expect((await publish({ authorization: `Bearer ${SECRET}` })).status).toBe(202)
  })

  it("has a lag that KEDA finds: each trigger names a consumer of the server, and none is left out", async () => {
    const { triggers } = find(rendered.manifests, "ScaledObject", "mesh-murmur-agents").spec as {
      triggers: { metadata: Record<string, string> }[]
    }
    const named = triggers.map(({ metadata }) => metadata)
    const { natsServerMonitoringEndpoint, account, stream } = named[0] ?? {}
    // the address that KEDA's scaler makes of its settings
    const url = `http://${natsServerMonitoringEndpoint}/jsz?acc=${account}&consumers=true&config=true`
    const { account_details } = (await (await fetch(url)).json()) as { account_details: Account[] }
    const details = account_details.find(({ name }) => name === account)?.stream_detail
    const consumers = details?.find(({ name }) => name === stream)?.consumer_detail.map(({ name }) => name) ?? []
    const ofEvents = consumers.filter((name) => !name.includes("=inbox"))
    expect(named.map(({ consumer }) => consumer).sort()).toEqual(ofEvents.sort())
    expect(ofEvents).toHaveLength(8 + 1 + 1)
  })

  it("is not killed while NATS is away, and gets no events then", { timeout: 60_000 }, async () => {
    await server.kill9()
    await untilReadiness(503)
    expect(await ask(probes().liveness)).toBe(200)
    await server.restart()
    await untilReadiness(200)
  })

  it("waits before its end as long as it says, and ends in good order", { timeout: 60_000 }, async () => {
    const [command, ...args] = container.lifecycle?.preStop.exec.command ?? []
    expect(command).toBe("node")
    const began = performance.now()
    expect((await run(process.execPath, args)).code).toBe(0)
    expect(performance.now() - began).toBeGreaterThanOrEqual(1_000)
    expect(await node.terminate()).toBe(0)
  })
})

interface Account {
  readonly name: string
  readonly stream_detail: readonly {
    readonly name: string
    readonly consumer_detail: readonly { readonly name: string }[]
  }[]
}
