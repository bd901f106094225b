import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { gunzipSync } from "node:zlib"

/** A span as OTLP/JSON carries it, attributes made plain. */
export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly name: string
  readonly kind: number
  readonly status: { code?: number; message?: string }
  readonly attributes: Record<string, unknown>
  readonly links: readonly { traceId: string; spanId: string }[]
  readonly events: readonly { name: string; attributes: Record<string, unknown> }[]
  readonly resource: Record<string, unknown>
}

/** A log record as OTLP/JSON carries it. */
export interface ReceivedLog {
  readonly severityNumber: number
  readonly severityText: string
  readonly body: { readonly stringValue: string }
  readonly traceId?: string
  readonly spanId?: string
  readonly attributes: Record<string, unknown>
  readonly resource: Record<string, unknown>
}

/** A collector for tests: takes OTLP/HTTP in JSON and remembers what came. */
export interface OtlpReceiver {
  readonly url: string
  readonly spans: readonly ReceivedSpan[]
  /** Names of the metrics that came, with the attributes and value of each data point. */
  readonly metrics: readonly {
    name: string
    points: readonly { attributes: Record<string, unknown>; raw: unknown }[]
  }[]
  /** Log records, attributes made plain. */
  readonly logs: readonly ReceivedLog[]
  readonly headers: readonly Record<string, unknown>[]
  /** What came, as it came. */
  readonly bodies: readonly { readonly path: string; readonly json: unknown }[]
  close(): Promise<void>
}

// biome-ignore lint/suspicious/noExplicitAny: the wire format of OTLP is checked by what the tests read of it
type Json = any

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = []
  const metrics: { name: string; points: { attributes: Record<string, unknown>; raw: unknown }[] }[] = []
  const logs: ReceivedLog[] = []
  const headers: Record<string, unknown>[] = []
  const bodies: { path: string; json: unknown }[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const raw = Buffer.concat(chunks)
      const body: Json = JSON.parse((request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw).toString())
      bodies.push({ path: request.url ?? "", json: body })
      headers.push({ ...request.headers, path: request.url })
      spans.push(...(body.resourceSpans ?? []).flatMap(readSpans))
      logs.push(...(body.resourceLogs ?? []).flatMap(readLogs))
      metrics.push(...(body.resourceMetrics ?? []).flatMap(readMetrics))
      response.writeHead(200, { "content-type": "application/json" }).end("{}")
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
  return { url: `http://127.0.0.1:${port}`, spans, metrics, logs, headers, bodies, close }
}

function readSpans(group: Json): ReceivedSpan[] {
  const resource = plain(group.resource.attributes)
  return group.scopeSpans.flatMap((scope: Json) =>
    scope.spans.map((span: Json) => ({
      ...span,
      parentSpanId: span.parentSpanId || undefined,
      status: span.status ?? {},
      attributes: plain(span.attributes),
      links: span.links ?? [],
      events: (span.events ?? []).map((event: Json) => ({ name: event.name, attributes: plain(event.attributes) })),
      resource,
    })),
  )
}

function readLogs(group: Json): ReceivedLog[] {
  const resource = plain(group.resource.attributes)
  return group.scopeLogs.flatMap((scope: Json) =>
    scope.logRecords.map((record: Json) => ({ ...record, attributes: plain(record.attributes), resource })),
  )
}

function readMetrics(group: Json): { name: string; points: { attributes: Record<string, unknown>; raw: unknown }[] }[] {
  return group.scopeMetrics.flatMap((scope: Json) =>
    scope.metrics.map((metric: Json) => ({
      name: metric.name,
      points: (metric.sum ?? metric.histogram ?? metric.gauge).dataPoints.map((raw: Json) => ({
        attributes: plain(raw.attributes),
        raw,
      })),
    })),
  )
}

function plain(attributes: Json[] = []): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ?? value.intValue ?? value.doubleValue ?? value.boolValue,
    ]),
  )
}
