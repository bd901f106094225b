import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { parse } from "yaml"
import { CHART, type Chart, noHelm, openChart, type Rendered, valuesOf } from "./support/chart.js"
import { envOf, find, ofKind, secretsOf, workloads } from "./support/manifests.js"

const root = resolve(import.meta.dirname, "../..")

it("The chart is for the murmur of this repository", () => {
  const { appVersion } = parse(readFileSync(join(CHART, "Chart.yaml"), "utf8")) as { appVersion: string }
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }
  expect(appVersion).toBe(version)
})

it("The chart is for the image of this repository: its user, its folders, its command", () => {
  const dockerfile = readFileSync(join(root, "deploy/Dockerfile"), "utf8")
  const { podSecurityContext, groupDefaults } = parse(readFileSync(join(CHART, "values.yaml"), "utf8")) as {
    podSecurityContext: { runAsUser: number; runAsGroup: number }
    groupDefaults: { paths: string[] }
  }
  const { runAsUser, runAsGroup } = podSecurityContext
  expect(/^USER (.*)$/m.exec(dockerfile)?.[1]).toBe(`${runAsUser}:${runAsGroup}`)
  const [entrypoint, cmd] = [/^ENTRYPOINT (.*)$/m, /^CMD (.*)$/m].map(
    (line) => JSON.parse(line.exec(dockerfile)?.[1] ?? "[]") as string[],
  )
  expect(entrypoint?.at(-1)).toMatch(/main\.js$/) // so that the chart's arguments are murmur's
  expect(cmd?.slice(0, 2)).toEqual(["up", ...groupDefaults.paths])
})

describe.skipIf(noHelm !== undefined)("helm", () => {
  let chart: Chart
  beforeAll(() => {
    chart = openChart()
  })
  afterAll(() => chart?.remove())

  it("keeps two groups apart: each has its own agents, rights, environment and image", async () => {
    const { manifests } = await chart.render(valuesOf("whole"))
    const [ticks] = workloads([find(manifests, "Deployment", "trading-ticks")])
    const [minds] = workloads([find(manifests, "StatefulSet", "trading-minds")])
    if (ticks === undefined || minds === undefined) throw new Error("a group is missing")
    expect(minds.container.args).toEqual(expect.arrayContaining(["--agents", "triage,news-*", "gpu=true", "zone=a"]))
    expect(ticks.container.args).not.toContain("--agents")
    expect(envOf(minds.container, "NATS_NKEY")).toBe("/etc/murmur/login/seed")
    expect(envOf(minds.container, "NATS_CREDS")).toBeUndefined()
    expect(envOf(ticks.container, "NATS_CREDS")).toBe("/etc/murmur/login/node.creds")
    expect(envOf(minds.container, "DEBUG")).toBe("false")
    expect(envOf(ticks.container, "DEBUG")).toBe("true")
    expect(envOf(minds.container, "MURMUR_CODE_VERSION")).toBe("2")
    expect(envOf(ticks.container, "MURMUR_CODE_VERSION")).toBe("sha256:aaaaaaaaaaaa")
    expect(minds.container.image).toBe("registry.example.com/trading:2")
    expect(ticks.container.image).toMatch(/^registry\.example\.com\/trading@sha256:a{64}$/)
    expect(secretsOf(ticks)).not.toContain("models")
  })

  it("deploys before an upgrade, and before an installation unless NATS comes with it", async () => {
    for (const [values, hook] of [
      [valuesOf("whole"), "pre-install,pre-upgrade"],
      [valuesOf("with-nats"), "post-install,pre-upgrade"],
    ] as const) {
      const { manifests } = await chart.render(values)
      const jobs = workloads(manifests, ["Job"])
      expect(jobs.length).toBeGreaterThan(0)
      for (const { manifest, container } of jobs) {
        expect(manifest.metadata.annotations?.["helm.sh/hook"]).toBe(hook)
        expect(container.args.slice(0, 2)).toEqual(["deploy", "/app/agents"])
        expect(container.args).toContain("--yes")
      }
    }
    const { manifests } = await chart.render(valuesOf("whole"))
    const jobs = workloads(manifests, ["Job"])
    for (const { container } of jobs) expect(envOf(container, "NATS_CREDS")).toBe("/etc/murmur/login/deployer.creds")
    const ofMinds = jobs.find(({ manifest }) => manifest.metadata.name === "trading-minds-deploy")
    expect(ofMinds?.container.args).toContain("triage,news-*") // no more than the group hosts
  })

  it("leaves the number of nodes to the autoscaler where there is one, and settles it elsewhere", async () => {
    const { manifests } = await chart.render(valuesOf("whole"))
    expect(find(manifests, "Deployment", "trading-ticks").spec.replicas).toBeUndefined()
    expect(find(manifests, "StatefulSet", "trading-minds").spec.replicas).toBe(3)
    const scaled = find(manifests, "ScaledObject", "trading-ticks").spec
    expect(scaled).toMatchObject({
      scaleTargetRef: { kind: "Deployment", name: "trading-ticks" },
      minReplicaCount: 1,
      maxReplicaCount: 8, // as many as volatility has partitions
    })
    const { triggers, advanced } = scaled as {
      triggers: { name: string }[]
      advanced: { scalingModifiers: { formula: string } }
    }
    expect(advanced.scalingModifiers.formula.split(" + ")).toEqual(triggers.map(({ name }) => name))
  })

  it("tells how to go on, with names that are there", async () => {
    const { notes, manifests } = await chart.render(valuesOf("whole"))
    expect(notes).toContain('Mesh "trading" on tls://a.nats:4222')
    expect(notes).toContain("ticks: Deployment trading-ticks, scaled by KEDA")
    const [, kind, name] = /rollout status (\w+)\/(\S+)/.exec(notes) ?? []
    expect(manifests.some((m) => m.kind.toLowerCase() === kind && m.metadata.name === name)).toBe(true)
    expect(notes).not.toContain("lets nobody in")
    expect((await chart.render()).notes).toContain("POST /events lets nobody in")
  })

  it("spreads over the pods of the group, unless it is told over which", async () => {
    const spread = { maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "DoNotSchedule" }
    const other = { ...spread, labelSelector: { matchLabels: { app: "all" } } }
    const { manifests } = await chart.render({ groups: { agents: { topologySpreadConstraints: [spread, other] } } })
    const [agents] = workloads(manifests)
    const selectors = agents?.pod.topologySpreadConstraints?.map(({ labelSelector }) => labelSelector.matchLabels)
    expect(selectors).toEqual([agents?.labels, { app: "all" }])
  })

  it("turns off what is not wanted", async () => {
    const { manifests } = await chart.render({
      networkPolicy: { enabled: false },
      groupDefaults: { podDisruptionBudget: { enabled: false }, service: { enabled: false }, preStopSeconds: 0 },
      groups: { agents: { replicas: 0 } },
    })
    for (const kind of ["NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceMonitor", "ScaledObject", "Job"]) {
      expect(ofKind(manifests, kind)).toEqual([])
    }
    const [agents] = workloads(manifests)
    expect(agents?.container.lifecycle).toBeUndefined()
    expect(agents?.manifest.spec.replicas).toBe(0)
  })

  it("renders the same for another release, under other names", async () => {
    const one = await chart.render({}, "one")
    const two = await chart.render({}, "two")
    const names = ({ manifests }: Rendered): string[] => manifests.map((m) => `${m.kind}/${m.metadata.name}`)
    expect(names(one).filter((name) => names(two).includes(name))).toEqual([])
    const long = await chart.render({ groups: { "abcdefghij-abcdefghi": { kind: "StatefulSet" } } }, "a".repeat(53))
    for (const name of names(long)) expect(name.split("/")[1]?.length).toBeLessThanOrEqual(63)
  })
})
