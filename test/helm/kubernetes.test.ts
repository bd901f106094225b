import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Chart, noHelm, openChart, type Values, valuesOf } from "./support/chart.js"
import { type Kubernetes, openKubernetes } from "./support/kubernetes.js"
import { find, type Manifest } from "./support/manifests.js"

const kubernetes = noHelm === undefined ? await openKubernetes() : { missing: noHelm }
if ("missing" in kubernetes && noHelm === undefined) {
  process.stderr.write(`skipped: tests against the schemas of Kubernetes (${kubernetes.missing})\n`)
}

describe.skipIf("missing" in kubernetes)("what the chart renders", () => {
  const api = kubernetes as Kubernetes
  let chart: Chart
  beforeAll(() => {
    chart = openChart()
  })
  afterAll(() => chart?.remove())

  it.each([
    ["no values", {}],
    ["whole.yaml", valuesOf("whole")],
    ["with-nats.yaml", valuesOf("with-nats")],
  ] satisfies [string, Values][])(
    "with %s is what Kubernetes, KEDA and the Prometheus operator take",
    async (_, values) => {
      const { manifests } = await chart.render(values)
      expect((await Promise.all(manifests.map(api.check))).flat()).toEqual([])
      expect(await api.compile(manifests)).toEqual([])
    },
  )

  it("is looked at closely: a wrong type, a missing and an unknown field are found", async () => {
    const { manifests } = await chart.render(valuesOf("whole"))
    const broken = (kind: string, change: (spec: Record<string, unknown>) => void): Manifest => {
      const copy = structuredClone(find(manifests, kind, kind === "StatefulSet" ? "trading-minds" : "trading-ticks"))
      change(copy.spec as Record<string, unknown>)
      return copy
    }
    const wrongType = broken("Deployment", (spec) => Object.assign(spec, { revisionHistoryLimit: "five" }))
    const missing = broken("StatefulSet", (spec) => Reflect.deleteProperty(spec, "selector"))
    const noTriggers = broken("ScaledObject", (spec) => Reflect.deleteProperty(spec, "triggers"))
    for (const manifest of [wrongType, missing, noTriggers]) expect(await api.check(manifest)).toHaveLength(1)
    const unknown = broken("ServiceMonitor", (spec) => Object.assign(spec, { endpoint: [] }))
    expect((await api.compile([unknown])).join()).toMatch(/endpoint"?' does not exist/)
    const deep = broken("Deployment", (spec) => {
      const { template } = spec as { template: { spec: { containers: object[] } } }
      Object.assign(template.spec.containers[0] ?? {}, { imagePullPolice: "Always" })
    })
    expect((await api.compile([deep])).join()).toMatch(/imagePullPolice/)
  })
})
