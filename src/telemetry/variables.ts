import { accessSync, constants } from "node:fs"
import { resolve } from "node:path"

/**
 * The details of OpenTelemetry's environment variables. The SDK reads most of them itself, and mostly passes over in
 * silence what it cannot use; here that is found out and said. Numbers that a queue depends on are read here as well: the
 * SDK takes a batch size of 0 and then runs for ever.
 */

type Env = Readonly<Record<string, string | undefined>>

const SAMPLERS = ["always_on", "always_off", "traceidratio"].flatMap((name) => [name, `parentbased_${name}`])
const OTLP = ["", "TRACES_", "METRICS_", "LOGS_"].map((signal) => `OTEL_EXPORTER_OTLP_${signal}`)

/** Variables of which some values are supported; the first one stands for every other. */
const CHOICES: ReadonlyMap<string, readonly string[]> = new Map([
  ["OTEL_TRACES_SAMPLER", ["parentbased_always_on", ...SAMPLERS.filter((name) => name !== "parentbased_always_on")]],
  ["OTEL_SDK_DISABLED", ["false", "true"]],
  ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", ["cumulative"]],
  ["OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", ["explicit_bucket_histogram"]],
  ["OTEL_METRICS_EXEMPLAR_FILTER", ["always_off"]],
  ...OTLP.map((prefix): [string, string[]] => [`${prefix}PROTOCOL`, ["http/json"]]),
  ...OTLP.map((prefix): [string, string[]] => [`${prefix}COMPRESSION`, ["none", "gzip"]]),
])

const FILES = OTLP.flatMap((prefix) => ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"].map((what) => prefix + what))

/** What a variable does not accept is replaced by its default. */
const POSITIVE: readonly string[] = [
  ...OTLP.map((prefix) => `${prefix}TIMEOUT`),
  ...["OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT"],
  ...["BSP", "BLRP"].flatMap((kind) =>
    ["SCHEDULE_DELAY", "EXPORT_TIMEOUT", "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE"].map((of) => `OTEL_${kind}_${of}`),
  ),
]
const COUNTS: readonly string[] = [
  ...["OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"],
  ...["ATTRIBUTE_COUNT", "ATTRIBUTE_VALUE_LENGTH", "EVENT_COUNT", "LINK_COUNT"].map((of) => `OTEL_SPAN_${of}_LIMIT`),
]

/** What it would mean elsewhere, and what to use here. */
const UNUSED: ReadonlyMap<string, string> = new Map([
  ["OTEL_LOG_LEVEL", "MURMUR_LOG_LEVEL sets the level"],
  ["OTEL_EXPORTER_OTLP_INSECURE", "the endpoint's http:// or https:// decides"],
  ["OTEL_EXPORTER_PROMETHEUS_HOST", "the node's own HTTP port answers /metrics"],
  ["OTEL_EXPORTER_PROMETHEUS_PORT", "the node's own HTTP port answers /metrics"],
  ["OTEL_EXPORTER_ZIPKIN_ENDPOINT", "traces are sent by OTLP"],
  ["OTEL_CONFIG_FILE", "there is no configuration by file"],
  ["OTEL_EXPERIMENTAL_CONFIG_FILE", "there is no configuration by file"],
])

const PROPAGATORS = ["tracecontext", "baggage"]

/** What is set and has no effect, a sentence each. */
export function checkVariables(env: Env): string[] {
  const set = (name: string): string | undefined => env[name]?.trim() || undefined
  return [
    ...[...CHOICES].flatMap(([name, known]) => unknownChoice(name, set(name), known)),
    ...POSITIVE.flatMap((name) => badNumber(name, set(name), 1)),
    ...COUNTS.flatMap((name) => badNumber(name, set(name), 0)),
    ...samplerArgument(set("OTEL_TRACES_SAMPLER"), set("OTEL_TRACES_SAMPLER_ARG")),
    ...FILES.flatMap((name) => unreadable(name, set(name))),
    ...propagators(set("OTEL_PROPAGATORS")),
    ...resourceAttributes(set("OTEL_RESOURCE_ATTRIBUTES")),
    ...[...UNUSED].flatMap(([name, instead]) => (set(name) === undefined ? [] : [`${name} is not used: ${instead}`])),
  ]
}

function unknownChoice(name: string, value: string | undefined, known: readonly string[]): string[] {
  if (value === undefined || known.includes(name === "OTEL_SDK_DISABLED" ? value.toLowerCase() : value)) return []
  const those = known.length === 1 ? "" : ` (known: ${known.join(", ")})`
  return [`${name}=${value} is not supported: ${known[0]} is used${those}`]
}

function badNumber(name: string, value: string | undefined, least: number): string[] {
  if (value === undefined || numberOf(value, least) !== undefined) return []
  return [`${name}=${value} is not used: it must be an integer from ${least}; the default is used`]
}

function samplerArgument(sampler: string | undefined, value: string | undefined): string[] {
  if (value === undefined || sampler === undefined || !sampler.endsWith("traceidratio")) return []
  const share = Number(value)
  if (share >= 0 && share <= 1) return []
  return [`OTEL_TRACES_SAMPLER_ARG=${value} is not used: it must be a number from 0 to 1; all traces are sampled`]
}

function unreadable(name: string, path: string | undefined): string[] {
  if (path === undefined) return []
  try {
    accessSync(resolve(path), constants.R_OK)
    return []
  } catch {
    return [`${name}=${path} cannot be read, so it is not used`]
  }
}

function propagators(value: string | undefined): string[] {
  const others = (value ?? "").split(",").filter((name) => name.trim() !== "" && !PROPAGATORS.includes(name.trim()))
  if (others.length === 0) return []
  return [`OTEL_PROPAGATORS=${others.join(",")} is not supported: ${PROPAGATORS.join(" and ")} are always read`]
}

/** By the specification one mistake makes all of them void. */
function resourceAttributes(value: string | undefined): string[] {
  const pairs = (value ?? "").split(",").filter((pair) => pair.trim() !== "")
  const isPair = (pair: string): boolean => /^[^=]+=[^=]*$/.test(pair) && !/%(?![0-9a-f]{2})/i.test(pair)
  if (pairs.every(isPair)) return []
  return [
    "OTEL_RESOURCE_ATTRIBUTES is not used: it must be name=value pairs, with , and = inside of them as %2C and %3D",
  ]
}

function numberOf(value: string | undefined, least: number): number | undefined {
  const number = Number(value)
  return value !== undefined && Number.isSafeInteger(number) && number >= least ? number : undefined
}

/** A positive integer, `undefined` for everything else. */
export function positiveOf(env: Env, name: string): number | undefined {
  return numberOf(env[name]?.trim() || undefined, 1)
}

/** How a queue of spans (`BSP`) or of log records (`BLRP`) is emptied; times in milliseconds. */
export interface BatchOptions {
  readonly maxQueueSize: number
  readonly maxExportBatchSize: number
  readonly scheduledDelayMillis: number
  readonly exportTimeoutMillis: number
}

/** Reads the options of a queue; the defaults are those of the specification. */
export function batchOptions(env: Env, kind: "BSP" | "BLRP"): BatchOptions {
  const maxQueueSize = positiveOf(env, `OTEL_${kind}_MAX_QUEUE_SIZE`) ?? 2_048
  return {
    maxQueueSize,
    maxExportBatchSize: Math.min(maxQueueSize, positiveOf(env, `OTEL_${kind}_MAX_EXPORT_BATCH_SIZE`) ?? 512),
    scheduledDelayMillis: positiveOf(env, `OTEL_${kind}_SCHEDULE_DELAY`) ?? (kind === "BSP" ? 5_000 : 1_000),
    exportTimeoutMillis: positiveOf(env, `OTEL_${kind}_EXPORT_TIMEOUT`) ?? 30_000,
  }
}
