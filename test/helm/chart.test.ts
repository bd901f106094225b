import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { parse } from "yaml"
import { CHART, type Chart, noHelm, openChart, type Rendered, type Values, valuesOf } from "./support/chart.js"
import { envOf, find, ofKind, secretsOf, selectorOf, selects, workloads } from "./support/manifests.js"

const root = resolve(import.meta.dirname, "../..")
const SETS: readonly (readonly [string, Values])[] = [
  ["no values", {}],
  ["whole.yaml", valuesOf("whole")],
  ["with-nats.yaml", valuesOf("with-nats")],
]
/** Secrets that the value sets take for there. */
const EXISTING = ["nodes", "minds", "deployer", "nats-ca", "nats-client", "http", "otlp", "models", "webhooks"]

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

  describe.each(SETS)("with %s", (_, values) => {
    let rendered: Rendered
    beforeAll(async () => {
      rendered = await chart.render(values)
    })

    it("finds nothing to complain about", async () => {
      expect(rendered.warnings).toBe("")
      const { code, stdout } = await chart.lint(values)
      expect(code, stdout).toBe(0)
    })

    it("names no two objects alike", () => {
      const names = rendered.manifests.map(({ kind, metadata }) => `${kind}/${metadata.name}`)
      expect(new Set(names).size).toBe(names.length)
      for (const { metadata } of rendered.manifests) expect(metadata.name.length).toBeLessThanOrEqual(63)
    })

    it("selects the pods of one group and no others", () => {
      const all = workloads(rendered.manifests)
      for (const kind of ["Deployment", "StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy"]) {
        for (const manifest of ofKind(rendered.manifests, kind)) {
          const taken = all.filter(({ labels }) => selects(selectorOf(manifest), labels))
          expect(taken, `${kind}/${manifest.metadata.name}`).toHaveLength(1)
        }
      }
      for (const { labels, pod } of all) {
        for (const { labelSelector } of pod.topologySpreadConstraints ?? []) {
          expect(selects(labelSelector.matchLabels, labels)).toBe(true)
        }
      }
    })

    it("lets each pod refer only to Secrets that are there", () => {
      expect(ofKind(rendered.manifests, "Secret")).toEqual([]) // the chart makes none
      for (const workload of workloads(rendered.manifests)) {
        expect(EXISTING).toEqual(expect.arrayContaining(secretsOf(workload)))
      }
    })

    it("mounts what it names, and lets variables name what is mounted", () => {
      for (const { manifest, pod, container } of workloads(rendered.manifests)) {
        const claims = (manifest.spec.volumeClaimTemplates ?? []) as { metadata: { name: string } }[]
        const volumes = [...pod.volumes.map(({ name }) => name), ...claims.map(({ metadata }) => metadata.name)]
        for (const { name } of container.volumeMounts) expect(volumes).toContain(name)
        const readable = container.volumeMounts.filter(({ readOnly }) => readOnly).map(({ mountPath }) => mountPath)
        for (const name of ["NATS_CREDS", "NATS_NKEY", "NATS_CA", "NATS_CERT", "NATS_KEY"]) {
          const path = envOf(container, name)
          if (path !== undefined) expect(readable.some((folder) => path.startsWith(`${folder}/`))).toBe(true)
        }
      }
    })

    it("gives no pod more than the restricted standard, a root file system to write to, or a token", () => {
      const all = workloads(rendered.manifests)
      expect(all.length).toBeGreaterThan(0)
      for (const { pod, container } of all) {
        expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } })
        expect(pod.automountServiceAccountToken).toBe(false)
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        })
        expect(Object.keys(pod).filter((key) => key.startsWith("host"))).toEqual([])
        expect(container.volumeMounts).toContainEqual({ name: "tmp", mountPath: "/tmp" })
      }
    })

    it("asks for the liveness of the process alone, and gives a node the time that it needs to end", () => {
      for (const { pod, container } of workloads(rendered.manifests, ["Deployment", "StatefulSet"])) {
        expect(container.startupProbe?.httpGet.path).toBe("/healthz")
        expect(container.livenessProbe?.httpGet.path).toBe("/healthz")
        expect(container.readinessProbe?.httpGet.path).toBe("/readyz")
        for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe]) {
          expect(container.ports?.map(({ name }) => name)).toContain(probe?.httpGet.port)
        }
        const waiting = Number(/, (\d+)\)/.exec(container.lifecycle?.preStop.exec.command.at(-1) ?? "")?.[1]) / 1_000
        const grace = Number(container.args[container.args.indexOf("--grace") + 1])
        expect(grace).toBeGreaterThan(0)
        // sources, then steps; 5 s for HTTP before and 2 s for telemetry after them
        expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(waiting + 2 * grace + 5 + 2)
      }
    })

    it("lets every pod out to names, NATS, the collector and models, and not further", () => {
      for (const { container, labels } of workloads(rendered.manifests)) {
        const policies = ofKind(rendered.manifests, "NetworkPolicy").filter((policy) =>
          selects(selectorOf(policy), labels),
        )
        expect(policies).toHaveLength(1)
        const egress = policies.flatMap(({ spec }) => spec.egress as { ports: { port: number }[]; to?: unknown[] }[])
        const open = egress.filter(({ to }) => to === undefined).flatMap(({ ports }) => ports.map(({ port }) => port))
        const natsPorts = (envOf(container, "NATS_URL") ?? "")
          .split(",")
          .map((url) => Number(/:(\d+)$/.exec(url)?.[1] ?? 4222))
        expect(open.filter((port) => ![53, 4318, ...natsPorts].includes(port))).toEqual([])
        const reachable = egress.flatMap(({ ports }) => ports.map(({ port }) => port))
        expect(reachable).toEqual(expect.arrayContaining([53, ...natsPorts]))
      }
    })
  })

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
        expect(container.args).toEqual(["deploy", "/app/agents", "--yes"])
      }
    }
    const { manifests } = await chart.render(valuesOf("whole"))
    for (const { container } of workloads(manifests, ["Job"])) {
      expect(envOf(container, "NATS_CREDS")).toBe("/etc/murmur/login/deployer.creds")
    }
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
