import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Chart, noHelm, openChart, type Rendered, type Values, valuesOf } from "./support/chart.js"
import { envOf, ofKind, secretsOf, selectorOf, selects, workloads } from "./support/manifests.js"

const SETS: readonly (readonly [string, Values])[] = [
  ["no values", {}],
  ["whole.yaml", valuesOf("whole")],
  ["with-nats.yaml", valuesOf("with-nats")],
]
/** Secrets that the value sets take for there. */
const EXISTING = ["nodes", "minds", "deployer", "nats-ca", "nats-client", "http", "otlp", "models", "webhooks"]

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
})
