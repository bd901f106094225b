import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus"
import { collect } from "./metric-data.js"
import type { MetricStore } from "./metric-store.js"
import { type ResourceOptions, resourceOf } from "./resource.js"

/**
 * The store's numbers as Prometheus text (format 0.0.4): `murmur.step.duration` becomes `murmur_step_duration_seconds`,
 * counters end in `_total`. Loads the serializer, so it is imported at the first scrape.
 */
export function prometheusText(store: MetricStore, options: ResourceOptions): { text: string; errors: unknown[] } {
  const { resourceMetrics, errors } = collect(store, resourceOf(options), "prometheus")
  return { text: new PrometheusSerializer(undefined, false, undefined, false, true).serialize(resourceMetrics), errors }
}
