import { readFileSync } from "node:fs"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { parse } from "yaml"
import { z } from "zod"
import { defineAgent } from "../../src/agents/define-agent.js"
import { openBus } from "../../src/bus/bus.js"
import { defineEvent } from "../../src/bus/define-event.js"
import { TerminalError } from "../../src/errors.js"
import { defineModels } from "../../src/gateways/define-models.js"
import { scripted } from "../../src/gateways/scripted/scripted.js"
import { startHttp } from "../../src/http/server.js"
import { registerGauges } from "../../src/node/gauges.js"
import { MurmurNode } from "../../src/node/node.js"
import { type RunningTelemetry, startTelemetry } from "../../src/telemetry/setup.js"
import { until } from "../support/mesh.js"
import { startTestServer } from "../support/nats-server.js"
import { DEPLOY } from "./support/compose-file.js"
import { type Exposed, exposedIn, unknownIn } from "./support/promql.js"

const Panel = z.object({
  id: z.int(),
  type: z.enum(["row", "stat", "timeseries"]),
  title: z.string().min(1),
  gridPos: z.object({ x: z.int(), y: z.int(), w: z.int(), h: z.int() }),
  datasource: z.object({ uid: z.string() }).optional(),
  targets: z
    .array(z.object({ refId: z.string(), expr: z.string(), datasource: z.object({ uid: z.string() }) }))
    .default([]),
})
const Dashboard = z.object({
  uid: z.literal("murmur"),
  panels: z.array(Panel),
  templating: z.object({ list: z.array(z.object({ name: z.string(), query: z.object({ query: z.string() }) })) }),
})
const Alerts = z.object({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string().regex(/^Murmur[A-Z]\w+$/),
          expr: z.string(),
          for: z.string().optional(),
          annotations: z.strictObject({ summary: z.string() }),
        }),
      ),
    }),
  ),
})

const read = (path: string): string => readFileSync(`${DEPLOY}${path}`, "utf8")
const dashboard = Dashboard.parse(JSON.parse(read("grafana/murmur.json")))
const shown = dashboard.panels.filter(({ type }) => type !== "row")
const rules = Alerts.parse(parse(read("compose/prometheus/alerts.yml"))).groups.flatMap((group) => group.rules)

describe("what the dashboard and the alerts ask for is what nodes show", () => {
  let exposed: Exposed
  beforeAll(async () => {
    exposed = exposedIn(await metricsOfABusyNode())
  })

  it.each(shown.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr])))("%s: %s", (_title, expr) => {
    expect(unknownIn(expr, exposed)).toEqual([])
  })

  it.each(rules.map(({ alert, expr }) => [alert, expr]))("%s: %s", (_alert, expr) => {
    expect(unknownIn(expr, exposed)).toEqual([])
  })

  it("the choice of agents", () => {
    for (const { query } of dashboard.templating.list) {
      const [, metric = "", label = ""] = /^label_values\((\w+), (\w+)\)$/.exec(query.query) ?? []
      expect(exposed.get(metric)).toContain(label)
    }
  })

  it("and what no node shows would be found", () => {
    expect(unknownIn('sum by (agent) (rate(murmur_nothing_total{agent="a"}[5m]))', exposed)).toContain(
      "murmur_nothing_total",
    )
    expect(unknownIn("sum by (colour) (murmur_agent_lag)", exposed)).toEqual(["label colour"])
  })
})

describe("the dashboard", () => {
  it("asks the data source that is provisioned, in panels that have different ids", () => {
    const sources = parse(read("compose/grafana/datasources/murmur.yml")).datasources.map(
      ({ uid }: { uid: string }) => uid,
    )
    for (const { title, datasource, targets } of shown) {
      expect(targets.length, title).toBeGreaterThan(0)
      expect(sources).toContain(datasource?.uid)
      for (const target of targets) expect(sources).toContain(target.datasource.uid)
    }
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length)
  })

  it("has no panel that lies on another or beside the grid", () => {
    const taken = new Map<string, string>()
    for (const { title, gridPos } of dashboard.panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.get(`${x} ${y}`), title).toBeUndefined()
          taken.set(`${x} ${y}`, title)
        }
      }
    }
  })
})

const Asked = defineEvent("q.asked", z.object({ q: z.string() }), { key: ({ q }) => q })

/** The text that a node's `/metrics` has once everything that it counts has happened to it. */
async function metricsOfABusyNode(): Promise<string> {
  // nobody takes the spans: they are lost, and counted
  vi.stubEnv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
  vi.stubEnv("OTEL_BSP_SCHEDULE_DELAY", "50")
  const who = { serviceName: "murmur", mesh: "test", nodeId: "n1", version: "0.0.0" } as const
  const running = await startTelemetry({ ...who, env: process.env, prometheus: true, logLevel: "silent" })
  closing.push(() => running.shutdown())
  const server = await startTestServer({ sync: "default" })
  closing.push(() => server.stop())
  const bus = await openBus({ url: server.url, name: "node", mesh: "test" })
  closing.push(() => bus.close())
  const node = await MurmurNode.start({ bus, ...busyWith(running) })
  closing.push(() => node.stop(2_000))
  const gauges = registerGauges(node, running.observe)
  closing.push(async () => gauges())
  const http = await serve(node, running)
  await fetch(`${http}/events`, { method: "POST", body: "no event" })
  await node.publish({ type: "q.asked", data: { q: "a" }, key: "a" }, { producer: "tester" })
  let text = ""
  await until("everything has been counted", async () => {
    text = await (await fetch(`${http}/metrics`)).text()
    return (
      [/dead_letters_total/, /retries_total/, /quarantines_total/, /guard_trips_total/, /agent_lag\{/].every((one) =>
        one.test(text),
      ) &&
      /telemetry_dropped_total/.test(text) &&
      /token_usage_count/.test(text)
    )
  })
  return text
}

/** Agents that do, and fail at, all that is counted. */
function busyWith({ telemetry, observe }: RunningTelemetry): Omit<Parameters<typeof MurmurNode.start>[0], "bus"> {
  const thinker = defineAgent("thinker", {
    on: [Asked],
    async handle(_event, ctx) {
      await ctx.llm.text("Why?")
    },
  })
  const failing = defineAgent("failing", {
    on: [Asked],
    retry: { attempts: 2, backoffMs: 1 },
    supervision: { intensity: 1 },
    handle() {
      throw new Error("not today")
    },
  })
  const wrong = defineAgent("wrong", {
    on: [Asked],
    handle() {
      throw new TerminalError("never", { code: "NEVER" })
    },
  })
  const echo = defineAgent("echo", { on: [Asked], emits: [Asked], handle: ({ data }, ctx) => ctx.emit(Asked(data)) })
  const models = defineModels({ default: "scripted/demo", gateways: [scripted({ replies: [{ reply: "Because." }] })] })
  return { telemetry, observe, agents: [thinker, failing, wrong, echo], sources: [], models }
}

async function serve(node: MurmurNode, running: RunningTelemetry): Promise<string> {
  const http = await startHttp(
    {
      readiness: () => node.readiness(),
      metricsText: () => running.metricsText(),
      publish: (draft, options) => node.publish(draft, options),
      webhooks: node.webhooks,
      telemetry: running.telemetry,
    },
    { port: 0 },
  )
  closing.push(() => http.close())
  return http.url
}

const closing: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})
