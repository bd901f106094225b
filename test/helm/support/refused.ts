import type { Values } from "./chart.js"

const group = (settings: Values): Values => ({ groups: { agents: settings } })
const login = (credentials: Values): Values => group({ credentials })
const scaled = (autoscaling: Values, rest: Values = {}): Values => ({
  keda: { natsServerMonitoringEndpoint: "nats:8222" },
  ...rest,
  ...group({ autoscaling: { enabled: true, ...autoscaling } }),
})

/** What is refused, with which values, and what the message has to name. */
type Refusal = readonly [what: string, values: Values, named: RegExp]

/** Refused by the schema. */
export const BY_SCHEMA: readonly Refusal[] = [
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
]

/** Refused by the templates, since one value alone is not wrong. */
export const BY_TEMPLATES: readonly Refusal[] = [
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
