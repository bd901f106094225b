import { map } from "rxjs"
import { afterEach, expect, test } from "vitest"
import { z } from "zod"
import { defineAgent } from "../src/agents/define-agent.js"
import { defineEvent } from "../src/bus/define-event.js"
import { startHttp } from "../src/http/server.js"
import { type RunningTelemetry, startTelemetry } from "../src/telemetry/setup.js"
import { startMesh, type TestMesh, take, until } from "./support/mesh.js"
import { startOtlpReceiver } from "./support/otlp-receiver.js"

const Asked = defineEvent("q.asked", z.object({ q: z.string() }), { key: (d) => d.q })
const Thought = defineEvent("q.thought", z.object({ q: z.string() }), { key: (d) => d.q })
const Answered = defineEvent("q.answered", z.object({ q: z.string() }), { key: (d) => d.q })
const Counted = defineEvent("q.counted", z.object({ letters: z.number() }))

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const thinker = defineAgent("thinker", {
  on: [Asked],
  emits: [Thought],
  handle: (event, ctx) => ctx.emit(Thought(event.data)),
})
const counter = defineAgent("counter", {
  on: [Answered],
  emits: [Counted],
  react: (answers) => answers.pipe(map(({ data }) => Counted({ letters: data.q.length }, { key: data.q }))),
})
const answerer = defineAgent("answerer", {
  on: [Thought],
  emits: [Answered],
  handle: (event, ctx) => ctx.emit(Answered(event.data)),
})

test("one trace goes from the HTTP request through three agents to the last event", async () => {
  const receiver = await startOtlpReceiver()
  closing.push(() => receiver.close())
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = receiver.url
  process.env.OTEL_METRICS_EXPORTER = "none"
  const running: RunningTelemetry = await startTelemetry({
    serviceName: "murmur",
    mesh: "test",
    nodeId: "n1",
    version: "0.0.0",
    env: process.env,
    prometheus: true,
    logLevel: "silent",
  })
  const mesh: TestMesh = await startMesh({ agents: [thinker, answerer, counter] }, { telemetry: running.telemetry })
  closing.push(() => mesh.stop())
  const { node } = mesh
  const http = await startHttp(
    {
      readiness: () => node.readiness(),
      metricsText: () => running.metricsText(),
      publish: (draft, options) => node.publish(draft, options),
      webhooks: [],
      telemetry: running.telemetry,
    },
    { port: 0 },
  )
  closing.push(() => http.close())

  const body = { specversion: "1.0", id: "root", source: "/test", type: "q.asked", subject: "why", data: { q: "why" } }
  const response = await fetch(`${http.url}/events`, {
    method: "POST",
    headers: { "content-type": "application/cloudevents+json" },
    body: JSON.stringify(body),
  })
  expect(response.status).toBe(202)
  const [counted] = await take(mesh.bus, "q.counted", 1)
  expect(counted).toMatchObject({ correlationid: "root", hops: 3, trust: "external" })
  await until("the steps are done", () => node.hosts.every(({ stats }) => stats.steps === 1))
  await running.shutdown()

  const spans = receiver.spans
  const names = [
    "process thinker",
    "send q.thought",
    "process answerer",
    "send q.answered",
    "process counter",
    "send q.counted",
  ]
  const chain = names.map((name) => spans.find((span) => span.name === name))
  for (const [i, span] of chain.entries()) {
    expect(span, names[i]).toBeDefined()
    expect(span?.traceId).toBe(counted?.trace?.traceparent.split("-")[1])
    if (i > 0) expect(span?.parentSpanId).toBe(chain[i - 1]?.spanId)
  }
  const root = spans.find(({ spanId }) => spanId === chain[0]?.parentSpanId)
  expect(root?.traceId).toBe(chain[0]?.traceId)

  const metrics = await (await fetch(`${http.url}/metrics`)).text()
  expect(metrics).toMatch(/murmur_step_duration_seconds_count\{[^}]*agent="thinker"[^}]*\} 1/)
})
