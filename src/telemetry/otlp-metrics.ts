import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http"
import {
  AggregationTemporality,
  MeterProvider,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
} from "@opentelemetry/sdk-metrics"
import { metricLines } from "./console-exporters.js"
import { Delivery } from "./delivery.js"
import type { ExportOptions, OpenExport } from "./export-options.js"
import { producerOf } from "./metric-data.js"
import type { MetricStore } from "./metric-store.js"
import { resourceOf } from "./resource.js"
import { positiveOf } from "./variables.js"

const INTERVAL_MS = 60_000
const TIMEOUT_MS = 30_000

/** Sends the store's numbers, cumulative, every `OTEL_METRIC_EXPORT_INTERVAL` milliseconds (60,000). Loads the SDK. */
export function startMetricExport(store: MetricStore, options: ExportOptions): OpenExport {
  const { env, to, sink } = options
  const exportIntervalMillis = positiveOf(env, "OTEL_METRIC_EXPORT_INTERVAL") ?? INTERVAL_MS
  const exportTimeoutMillis = positiveOf(env, "OTEL_METRIC_EXPORT_TIMEOUT") ?? TIMEOUT_MS
  const resource = resourceOf(options)
  const exporters = [
    ...(to.includes("otlp") ? [otlpExporter(options)] : []),
    ...(to.includes("console") ? [metricLines(sink)] : []),
  ]
  const readers = exporters.map(
    (exporter) =>
      new PeriodicExportingMetricReader({
        exporter,
        exportIntervalMillis,
        exportTimeoutMillis: Math.min(exportTimeoutMillis, exportIntervalMillis),
        metricProducers: [producerOf(store, resource)],
      }),
  )
  const provider = new MeterProvider({ resource, readers })
  return { shutdown: () => provider.shutdown() }
}

/** An export that fails loses nothing for good: the numbers are cumulative, so the next one makes up for it. */
function otlpExporter({ log, metrics }: ExportOptions): PushMetricExporter {
  const delivery = new Delivery("metrics", { log, metrics })
  const otlp = new OTLPMetricExporter({})
  return {
    export: (batch, done) => otlp.export(batch, delivery.ending(1, done)),
    selectAggregationTemporality: () => AggregationTemporality.CUMULATIVE,
    forceFlush: () => otlp.forceFlush(),
    shutdown: () => otlp.shutdown(),
  }
}
