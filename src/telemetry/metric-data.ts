import type { HrTime } from "@opentelemetry/api"
import { ValueType } from "@opentelemetry/api"
import type { Resource } from "@opentelemetry/resources"
import type {
  CollectionResult,
  DataPoint,
  Histogram,
  MetricData,
  MetricProducer,
  ResourceMetrics,
} from "@opentelemetry/sdk-metrics"
import { AggregationTemporality, DataPointType } from "@opentelemetry/sdk-metrics"
import { boundariesOf, type Gauge, type HistogramSeries, type MetricStore } from "./metric-store.js"
import type { Attributes, CounterName, HistogramName } from "./ports.js"

/**
 * The store's numbers as OpenTelemetry's metric data, cumulative. Loads the metrics SDK: import it only when somebody
 * collects.
 */

const COUNTERS: Readonly<Record<CounterName, string>> = {
  "murmur.events.published": "Events stored by JetStream on behalf of this node",
  "murmur.events.received": "Events delivered to agents of this node",
  "murmur.step.suspensions": "Steps that sleep or wait for an answer, each time that they begin to",
  "murmur.step.retries": "Attempts of steps that failed and will be tried again",
  "murmur.dead_letters": "Events given up, by reason",
  "murmur.agent.quarantines": "Times that an agent was quarantined since it failed again and again",
  "murmur.guard.trips": "Steps that a guard stopped, by guard",
  "murmur.guard.warnings": "Agents that were triggered by their own descendants again and again, once a root event",
  "murmur.tool.approvals": "Tool calls that a person is asked to approve",
  "murmur.window.late": "Events that came after their window had closed",
  "murmur.run.untold": "Events about the runs of agents that were left out, since too many waited",
  "murmur.source.errors": "Failures of sources",
  "murmur.http.rejected": "HTTP requests refused, by reason",
  "murmur.rights.denied": "Operations that the server did not let this node do, by agent and operation",
  "murmur.llm.cost": "What models have cost, in US dollars",
  "murmur.llm.retries": "Requests to models that failed and were sent again, by error",
  "murmur.telemetry.dropped":
    "Spans and log records that were lost on the way to the collector, and failed exports of metrics",
}

const HISTOGRAMS: Readonly<Record<HistogramName, string>> = {
  "murmur.step.duration": "Duration of steps",
  "murmur.tool.duration": "Duration of tool calls, by outcome",
  "murmur.event.age": "Time from the storing of an event to the first attempt at its step, by outcome",
  "http.server.request.duration": "Duration of HTTP requests",
  "gen_ai.client.operation.duration": "Duration of calls of models, with their waits and retries",
  "gen_ai.client.token.usage": "Tokens that an answer of a model has used, by kind",
  "gen_ai.server.time_to_first_token": "Time from a request to the first piece of its streamed answer",
}

/** How names are written: OTLP carries the unit beside the name, Prometheus wants it in the name. */
export type Naming = "otlp" | "prometheus"

/** Hands the store's numbers to a metric reader. */
export function producerOf(store: MetricStore, resource: Resource): MetricProducer {
  return { collect: async () => collect(store, resource, "otlp") }
}

/** Reads all instruments now. A gauge that throws is left out and its error is among `errors`. */
export function collect(store: MetricStore, resource: Resource, naming: Naming): CollectionResult {
  const errors: unknown[] = []
  const at: Interval = { startTime: hrTime(store.startMs), endTime: hrTime(Date.now()) }
  const metrics = [...counters(store, at), ...histograms(store, at, naming), ...gauges(store, at, errors)]
  const resourceMetrics: ResourceMetrics = { resource, scopeMetrics: [{ scope: { name: "murmur" }, metrics }] }
  return { resourceMetrics, errors }
}

interface Interval {
  readonly startTime: HrTime
  readonly endTime: HrTime
}

const hrTime = (ms: number): HrTime => [Math.trunc(ms / 1_000), Math.round((ms % 1_000) * 1e6)]

function counters(store: MetricStore, at: Interval): MetricData[] {
  return [...store.counters].map(([name, instrument]) => ({
    descriptor: { name, description: COUNTERS[name], unit: "", valueType: counterType(name) },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPointType: DataPointType.SUM,
    isMonotonic: true,
    dataPoints: instrument.all.map((series) => point(at, series.labels, series.value)),
  }))
}

/** All count things but one, which counts money. */
function counterType(name: CounterName): ValueType {
  return name === "murmur.llm.cost" ? ValueType.DOUBLE : ValueType.INT
}

function histograms(store: MetricStore, at: Interval, naming: Naming): MetricData[] {
  const inName = naming === "prometheus"
  return [...store.histograms].map(([name, instrument]) => ({
    descriptor: {
      name: inName && unitOf(name) === "s" ? `${name}.seconds` : name,
      description: HISTOGRAMS[name],
      unit: inName ? "" : unitOf(name),
      valueType: ValueType.DOUBLE,
    },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPointType: DataPointType.HISTOGRAM,
    dataPoints: instrument.all.map((series) => point(at, series.labels, histogramOf(series, boundariesOf(name)))),
  }))
}

/** As OpenTelemetry writes it. */
function unitOf(name: HistogramName): string {
  return name === "gen_ai.client.token.usage" ? "{token}" : "s"
}

/** A copy: an export that is under way must not see later numbers in half of its fields. */
function histogramOf({ counts, count, sum, min, max }: HistogramSeries, boundaries: readonly number[]): Histogram {
  return { buckets: { boundaries: [...boundaries], counts: [...counts] }, count, sum, min, max }
}

function gauges(store: MetricStore, at: Interval, errors: unknown[]): MetricData[] {
  return [...store.gauges].map(([name, registered]) => ({
    descriptor: { name, description: registered[0]?.description ?? "", unit: "", valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPointType: DataPointType.GAUGE,
    dataPoints: registered.flatMap((gauge) => observations(gauge, at, errors)),
  }))
}

function observations(gauge: Gauge, at: Interval, errors: unknown[]): DataPoint<number>[] {
  try {
    return [...gauge.read()].map(({ value, labels = {} }) => point(at, labels, value))
  } catch (error) {
    errors.push(error)
    return []
  }
}

function point<T>(at: Interval, labels: Attributes, value: T): DataPoint<T> {
  return { ...at, attributes: labels, value }
}
