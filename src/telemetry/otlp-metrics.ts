import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http"
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics"
import { producerOf } from "./metric-data.js"
import type { MetricStore } from "./metric-store.js"
import { type ResourceOptions, resourceOf } from "./resource.js"

const INTERVAL_MS = 60_000
const TIMEOUT_MS = 30_000

/** Sends the store's numbers by OTLP/HTTP every `OTEL_METRIC_EXPORT_INTERVAL` milliseconds (60,000). Loads the SDK. */
export function startMetricExport(
  store: MetricStore,
  options: ResourceOptions,
  env: Readonly<Record<string, string | undefined>>,
): { shutdown(): Promise<void> } {
  const exportIntervalMillis = positive(env.OTEL_METRIC_EXPORT_INTERVAL) ?? INTERVAL_MS
  const exportTimeoutMillis = positive(env.OTEL_METRIC_EXPORT_TIMEOUT) ?? TIMEOUT_MS
  const resource = resourceOf(options)
  const reader = new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter(),
    exportIntervalMillis,
    exportTimeoutMillis: Math.min(exportTimeoutMillis, exportIntervalMillis),
    metricProducers: [producerOf(store, resource)],
  })
  const provider = new MeterProvider({ resource, readers: [reader] })
  return { shutdown: () => provider.shutdown() }
}

function positive(text: string | undefined): number | undefined {
  const value = Number(text)
  return Number.isFinite(value) && value > 0 ? value : undefined
}
