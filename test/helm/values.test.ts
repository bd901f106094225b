import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { parse } from "yaml"
import { CHART, type Chart, noHelm, openChart, type Values } from "./support/chart.js"

const group = (settings: Values): Values => ({ groups: { agents: settings } })
const login = (credentials: Values): Values => group({ credentials })
const scaled = (autoscaling: Values, rest: Values = {}): Values => ({
  keda: { natsServerMonitoringEndpoint: "nats:8222" },
  ...rest,
  ...group({ autoscaling: { enabled: true, ...autoscaling } }),
})

/** What is refused, and what the message has to name. */
const REFUSED: readonly (readonly [string, Values, RegExp])[] = [
  ["an unknown key", { grops: {} }, /grops/],
  ["an unknown key of a group", group({ replica: 2 }), /groups\.agents.*replica/],
  ["an unknown key of the defaults", { groupDefaults: { replica: 2 } }, /groupDefaults.*replica/],
  ["an unknown key of NATS that looks like an address", { nats: { ulr: "nats://elsewhere" } }, /nats.*ulr/],
  ["an unknown key of NATS that looks like a switch", { nats: { enable: true } }, /nats.*enable/],
  ["a number as text", group({ replicas: "2" }), /groups\.agents\.replicas.*integer/],
  ["a variable that is no text", { env: { PORT: 1 } }, /env\.PORT.*string/],
  ["a variable that the chart sets", { env: { NATS_URL: "nats://elsewhere" } }, /env.*NATS_URL/],
  ["a kind that is no workload", group({ kind: "DaemonSet" }), /groups\.agents\.kind/],
  ["a group whose name no label takes", { groups: { Agents: {} } }, /Agents/],
  ["a group whose name is that of a job", { groups: { "agents-deploy": {} } }, /agents-deploy/],
  ["a group of more letters than fit", { groups: { [`a${"b".repeat(20)}`]: {} } }, /ab{20}/],
  ["a password in a url", { nats: { url: "nats://me:secret@nats:4222" } }, /nats\.url/],
  ["another protocol", { nats: { url: "http://nats:4222" } }, /nats\.url/],
  ["a Secret of which no key is named", login({ secret: "nodes" }), /groups\.agents\.credentials/],
  ["a key of no Secret", login({ creds: "node.creds" }), /groups\.agents\.credentials/],
  ["two ways to log in", login({ secret: "a", creds: "b", nkey: "c" }), /groups\.agents\.credentials/],
  ["a time to end that nobody waits for", group({ graceSeconds: 86_400 }), /groups\.agents\.graceSeconds/],
  ["an option in the place of a path", group({ paths: ["--watch"] }), /groups\.agents\.paths/],
  ["a comma in a label", group({ labels: { zone: "a,b" } }), /groups\.agents\.labels/],
  ["partitions that no agent has", scaled({ agents: [{ name: "a", partitions: 3 }] }), /partitions/],
  ["scaling by nothing", scaled({}), /groups\.agents\.autoscaling\.agents must name/],
  [
    "scaling without a bound",
    scaled({ agents: [{ name: "audit", ordering: "none" }] }),
    /maxReplicas must be given.*"audit"/,
  ],
  [
    "more nodes at least than there is work for",
    scaled({ agents: [{ name: "a" }], minReplicas: 2 }),
    /minReplicas is 2, more than the 1/,
  ],
  [
    "scaling without a place to ask",
    scaled({ agents: [{ name: "a" }] }, { keda: {} }),
    /keda\.natsServerMonitoringEndpoint must be given/,
  ],
]

describe.skipIf(noHelm !== undefined)("values", () => {
  let chart: Chart
  beforeAll(() => {
    chart = openChart()
  })
  afterAll(() => chart?.remove())

  it.each(REFUSED)("refuse %s, and name it", async (_, values, named) => {
    await expect(chart.render(values)).rejects.toThrow(named)
  })

  it("refuse unknown keys at every place that is the chart's own", () => {
    const schema = JSON.parse(readFileSync(join(CHART, "values.schema.json"), "utf8")) as object
    expect(openObjects(schema, "")).toEqual([])
  })

  it("have a rule each, and each rule a default", () => {
    const values = parse(readFileSync(join(CHART, "values.yaml"), "utf8")) as Values
    const schema = JSON.parse(readFileSync(join(CHART, "values.schema.json"), "utf8")) as Schema
    const ofGroup = Object.keys(schema.definitions?.group?.properties ?? {})
    expect(Object.keys(values).sort()).toEqual(
      Object.keys(schema.properties ?? {})
        .filter((key) => key !== "global")
        .sort(),
    )
    expect(Object.keys(values.groupDefaults as Values).sort()).toEqual(ofGroup.sort())
  })
})

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly definitions?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: boolean | object
}

/** Places with named properties where any other would be taken, too. */
function openObjects(schema: Schema, at: string): string[] {
  const below = [...Object.entries(schema.properties ?? {}), ...Object.entries(schema.definitions ?? {})].flatMap(
    ([key, inner]) => (typeof inner === "object" ? openObjects(inner, `${at}.${key}`) : []),
  )
  const open = schema.properties !== undefined && schema.additionalProperties === undefined
  return open && !/\.(if|then|else|oneOf)/.test(at) ? [at, ...below] : below
}
