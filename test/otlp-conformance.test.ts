import { map } from "rxjs"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { z } from "zod"
import { defineAgent } from "../src/agents/define-agent.js"
import { defineTool } from "../src/agents/tools/define-tool.js"
import { tumbling } from "../src/agents/windows/operators.js"
import { defineEvent } from "../src/bus/define-event.js"
import { startHttp } from "../src/http/server.js"
import { registerGauges } from "../src/node/gauges.js"
import { startTelemetry } from "../src/telemetry/setup.js"
import { Answered, Asked, asker } from "./support/llm/asker.js"
import { startLab } from "./support/llm/lab.js"
import { take } from "./support/mesh.js"
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from "./support/otlp-receiver.js"
import { type OtlpPath, OtlpSchema } from "./support/otlp-schema.js"

/** What a whole node sends is held against the protocol's own description, and against what we say of it. */

const CALLER = { traceId: "a".repeat(32), spanId: "b".repeat(16) }
const Summed = defineEvent("lab.summed", z.object({ answers: z.number() }))

const look = defineTool({
  name: "look",
  description: "Looks something up",
  input: z.object({ what: z.string() }),
  effect: "read",
  run: ({ what }) => `found ${what}`,
})
const thinker = asker(
  async (n, ctx) => {
    ctx.log.info(
      { n, nested: { list: [1, "two", { three: true }] }, none: undefined, nothing: null, at: new Date() },
      "asks its model",
    )
    if (n === 3) ctx.log.error({ error: new RangeError("too much") }, "does not like it")
    return (await ctx.llm.text(`question ${n}`, { tools: [look] })).text
  },
  { name: "thinker", tools: [look] },
)
const summary = defineAgent("summary", {
  on: [Answered],
  emits: [Summed],
  window: { idleTimeoutMs: 200 },
  react: (answers) =>
    answers.pipe(
      tumbling(60_000),
      map(({ events }) => Summed({ answers: events.length }, { key: "all" })),
    ),
})

let receiver: OtlpReceiver
beforeAll(async () => {
  receiver = await startOtlpReceiver()
  vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
  vi.stubEnv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
  vi.stubEnv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,team=a%2Cb")
  const lines: string[] = []
  const running = await startTelemetry({
    ...{ serviceName: "murmur", mesh: "test", nodeId: "n1", version: "1.2.3", env: process.env, prometheus: true },
    logSink: { write: (line) => lines.push(line) },
  })
  const lab = await startLab([thinker, summary], { telemetry: running.telemetry })
  try {
    lab.server.reply((seen) =>
      seen.messages.at(-1)?.role === "tool"
        ? { text: "it is so" }
        : { toolCalls: [{ name: "look", arguments: { what: "here" } }] },
    )
    const { node } = lab.mesh
    registerGauges(node, running.observe)
    const http = await startHttp(
      {
        ...{ readiness: () => node.readiness(), metricsText: () => running.metricsText(), webhooks: [] },
        ...{ publish: (draft, options) => node.publish(draft, options), telemetry: running.telemetry },
      },
      { port: 0 },
    )
    for (const n of [1, 2, 3]) {
      const { status } = await fetch(`${http.url}/events`, {
        method: "POST",
        headers: {
          "content-type": "application/cloudevents+json",
          traceparent: `00-${CALLER.traceId}-${CALLER.spanId}-01`,
          tracestate: "vendor=x",
        },
        body: JSON.stringify({
          ...{ specversion: "1.0", id: `asked-${n}`, source: "/test", type: Asked.type, subject: "k", data: { n } },
        }),
      })
      expect(status).toBe(202)
    }
    await take(lab.bus, "lab.summed", 3)
    await http.close()
  } finally {
    await lab.stop()
    await running.shutdown()
  }
}, 60_000)
afterAll(() => receiver?.close())

describe("by the protocol's own description", () => {
  const schema = new OtlpSchema()
  test.each(["/v1/traces", "/v1/metrics", "/v1/logs"] as const)("all that is sent to %s is well-formed", (path) => {
    const sent = receiver.bodies.filter((body) => body.path === path)
    expect(sent.length).toBeGreaterThan(0)
    for (const { json } of sent) expect(Object.keys(schema.read(path, json))).toHaveLength(1)
  })

  test("and what is not would be noticed", () => {
    const body = receiver.bodies.find(({ path }) => path === "/v1/traces")
    const broken = (change: (span: Record<string, unknown>) => void): (() => unknown) => {
      const json = structuredClone(body?.json) as { resourceSpans: [{ scopeSpans: [{ spans: [object] }] }] }
      change(json.resourceSpans[0].scopeSpans[0].spans[0] as Record<string, unknown>)
      return () => schema.read("/v1/traces" satisfies OtlpPath, json)
    }
    expect(broken(() => {})).not.toThrow()
    expect(broken((span) => Object.assign(span, { traceid: "x" }))).toThrow(
      /spans\[0\]\.traceid: Span has no such field/,
    )
    expect(broken((span) => Object.assign(span, { spanId: "00" }))).toThrow(/spanId: must be bytes as 8 pairs/)
    expect(broken((span) => Object.assign(span, { kind: 9 }))).toThrow(/kind: must be one of SpanKind/)
    expect(broken((span) => Object.assign(span, { startTimeUnixNano: -1 }))).toThrow(/must be a fixed64/)
    const two = [{ key: "a", value: { stringValue: "x", intValue: 1 } }]
    expect(broken((span) => Object.assign(span, { attributes: two }))).toThrow(/cannot stand beside intValue/)
  })
})

const KINDS = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 }
/** Names as they are said to be, without any id in them. */
const NAMES: [RegExp, kind: number, attributes: object][] = [
  [/^POST \/events$/, KINDS.server, { "http.request.method": "POST", "http.response.status_code": 202 }],
  [/^send lab\.(answered|summed)$/, KINDS.producer, { "messaging.system": "nats", "messaging.operation.type": "send" }],
  [
    /^process (thinker|summary)$/,
    KINDS.consumer,
    { "messaging.system": "nats", "messaging.operation.type": "process" },
  ],
  [/^close_window summary$/, KINDS.internal, { "murmur.agent": "summary", "murmur.window.events": 1 }],
  [/^invoke_agent thinker$/, KINDS.internal, { "gen_ai.operation.name": "invoke_agent" }],
  [/^execute_tool look$/, KINDS.internal, { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look" }],
  [/^chat model$/, KINDS.client, { "gen_ai.operation.name": "chat", "gen_ai.request.model": "model" }],
]

/** A span with its times. */
type TimedSpan = ReceivedSpan & { readonly startTimeUnixNano: string; readonly endTimeUnixNano: string }

describe("the spans", () => {
  test("have names, kinds and attributes as the documentation says, each of them is there", () => {
    const seen = new Set<RegExp>()
    for (const span of receiver.spans) {
      const [pattern, kind, attributes] = NAMES.find(([name]) => name.test(span.name)) ?? []
      expect(pattern, span.name).toBeDefined()
      expect(span, span.name).toMatchObject({ kind, attributes })
      if (span.name.startsWith("send") || span.name.startsWith("process")) {
        expect(span.attributes["messaging.message.id"], span.name).toEqual(expect.any(String))
      }
      if (pattern !== undefined) seen.add(pattern)
    }
    expect([...seen].map(String).toSorted()).toEqual(NAMES.map(([name]) => String(name)).toSorted())
  })

  test("are one trace, in which each has a parent that began before it", () => {
    const spans = receiver.spans as readonly TimedSpan[]
    const byId = new Map(spans.map((span) => [span.spanId, span]))
    expect(byId.size).toBe(spans.length)
    for (const span of spans) {
      expect(span.traceId, span.name).toBe(CALLER.traceId)
      expect(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano), span.name).toBe(true)
      if (span.parentSpanId === CALLER.spanId) expect(span.name).toBe("POST /events")
      else {
        const parent = byId.get(span.parentSpanId ?? "")
        expect(parent, `the parent of ${span.name}`).toBeDefined()
        expect(BigInt(parent?.startTimeUnixNano ?? 0) <= BigInt(span.startTimeUnixNano), span.name).toBe(true)
      }
      for (const link of span.links) expect(byId.has(link.spanId), `a link of ${span.name}`).toBe(true)
    }
    const windows = spans.filter(({ name }) => name === "close_window summary")
    expect(windows.map(({ links }) => links.map(({ spanId }) => byId.get(spanId)?.name))).toEqual(
      windows.map(() => ["process summary"]),
    )
  })
})

const WHO = {
  "service.name": "murmur",
  "service.version": "1.2.3",
  "service.instance.id": "n1",
  "murmur.mesh": "test",
  "deployment.environment.name": "test",
  team: "a,b",
  "telemetry.sdk.language": "nodejs",
}

test("the log records belong to spans that are there, and carry their fields", () => {
  const ids = new Map(receiver.spans.map(({ spanId, traceId, name }) => [spanId, { traceId, name }]))
  const asks = receiver.logs.filter(({ body }) => body.stringValue === "asks its model")
  expect(asks).toHaveLength(3)
  for (const record of asks) {
    expect(record).toMatchObject({ severityNumber: 9, severityText: "INFO", resource: WHO })
    expect(ids.get(record.spanId ?? "")).toEqual({ traceId: record.traceId, name: "process thinker" })
  }
  const [error] = receiver.logs.filter(({ severityText }) => severityText === "ERROR")
  expect(error?.severityNumber).toBe(17)
  expect(error?.attributes).toMatchObject({
    "exception.type": "RangeError",
    "exception.message": "too much",
    "exception.stacktrace": expect.stringContaining("otlp-conformance"),
  })
})

interface Point {
  readonly startTimeUnixNano: string
  readonly timeUnixNano: string
  readonly count?: number | string
  readonly bucketCounts?: readonly (number | string)[]
  readonly explicitBounds?: readonly number[]
}
interface Metric {
  readonly name: string
  readonly unit: string
  readonly sum?: { readonly aggregationTemporality: number; readonly isMonotonic: boolean; dataPoints: Point[] }
  readonly histogram?: { readonly aggregationTemporality: number; readonly dataPoints: Point[] }
  readonly gauge?: { readonly dataPoints: Point[] }
}

test("the metrics are cumulative, durations in seconds, buckets complete, and no label is an id", () => {
  const bodies = receiver.bodies.filter(({ path }) => path === "/v1/metrics")
  const last: unknown = bodies.at(-1)?.json
  const { resourceMetrics } = last as { resourceMetrics: [{ scopeMetrics: [{ metrics: Metric[] }] }] }
  const { metrics } = resourceMetrics[0].scopeMetrics[0]
  const CUMULATIVE = 2
  for (const { name, unit, sum, histogram, gauge } of metrics) {
    for (const point of [sum, histogram, gauge].flatMap((data) => data?.dataPoints ?? [])) {
      expect(BigInt(point.timeUnixNano) >= BigInt(point.startTimeUnixNano), name).toBe(true)
    }
    if (sum !== undefined) expect(sum, name).toMatchObject({ aggregationTemporality: CUMULATIVE, isMonotonic: true })
    for (const { count, bucketCounts = [], explicitBounds = [] } of histogram?.dataPoints ?? []) {
      expect(bucketCounts, name).toHaveLength(explicitBounds.length + 1)
      expect(
        bucketCounts.reduce<number>((all, one) => all + Number(one), 0),
        name,
      ).toBe(Number(count))
    }
    if (histogram !== undefined) expect(histogram.aggregationTemporality, name).toBe(CUMULATIVE)
    if (name.endsWith(".duration")) expect(unit, name).toBe("s")
  }
  const names = metrics.map(({ name }) => name)
  expect(names).toEqual(
    expect.arrayContaining(["murmur.step.duration", "murmur.agent.lag", "gen_ai.client.token.usage"]),
  )
  expect(JSON.stringify(receiver.metrics.map(({ points }) => points.map(({ attributes }) => attributes)))).not.toMatch(
    /asked-\d/,
  )
})

test("all came compressed, and nothing was lost", () => {
  expect(receiver.headers.every((headers) => headers["content-encoding"] === "gzip")).toBe(true)
  expect(receiver.metrics.map(({ name }) => name)).not.toContain("murmur.telemetry.dropped")
})
