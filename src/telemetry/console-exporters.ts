import type { HrTime, SpanKind } from "@opentelemetry/api"
import { ExportResultCode, hrTimeToMilliseconds } from "@opentelemetry/core"
import { AggregationTemporality, type PushMetricExporter, type ResourceMetrics } from "@opentelemetry/sdk-metrics"
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base"
import type { LineSink } from "./log.js"

/**
 * The exporter `console`: a JSON line for each span, and one for each metric at each collection. To standard error, where
 * log lines go: standard output belongs to the command. (The SDK's own console exporters print to standard output.)
 */

const KINDS: Readonly<Record<SpanKind, string>> = ["internal", "server", "client", "producer", "consumer"]

/** Spans as lines `{"span":{...}}`. */
export function spanLines(sink: LineSink): SpanExporter {
  return {
    export: (spans, done) => {
      for (const span of spans) write(sink, { span: plainSpan(span) })
      done({ code: ExportResultCode.SUCCESS })
    },
    shutdown: async () => {},
  }
}

/** Metrics as lines `{"metric":{...}}`. */
export function metricLines(sink: LineSink): PushMetricExporter {
  return {
    export: (metrics, done) => {
      for (const metric of plainMetrics(metrics)) write(sink, { metric })
      done({ code: ExportResultCode.SUCCESS })
    },
    selectAggregationTemporality: () => AggregationTemporality.CUMULATIVE,
    forceFlush: async () => {},
    shutdown: async () => {},
  }
}

function write(sink: LineSink, line: object): void {
  sink.write(`${JSON.stringify(line)}\n`)
}

function plainSpan(span: ReadableSpan): object {
  const { traceId, spanId } = span.spanContext()
  const { name, kind, startTime, duration, status, attributes, links, events } = span
  return {
    name,
    kind: KINDS[kind],
    traceId,
    spanId,
    parentSpanId: span.parentSpanContext?.spanId,
    at: isoTime(startTime),
    durationMs: hrTimeToMilliseconds(duration),
    status,
    attributes,
    links: links.map(({ context }) => ({ traceId: context.traceId, spanId: context.spanId })),
    events: events.map((event) => ({ name: event.name, attributes: event.attributes })),
  }
}

function plainMetrics({ scopeMetrics }: ResourceMetrics): object[] {
  return scopeMetrics.flatMap(({ metrics }) =>
    metrics.map(({ descriptor: { name, unit }, dataPoints }) => ({
      name,
      unit,
      points: dataPoints.map(({ attributes, value }) => ({ attributes, value })),
    })),
  )
}

function isoTime(time: HrTime): string {
  return new Date(hrTimeToMilliseconds(time)).toISOString()
}
