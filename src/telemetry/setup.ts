import { setTimeout as delay } from "node:timers/promises"
import { ensureError, MurmurError } from "../errors.js"
import type { OpenExport } from "./export-options.js"
import { checkLevel, createLog, type LineForward, type LineSink, type LogLevel } from "./log.js"
import { MetricStore } from "./metric-store.js"
import { type Log, noMetrics, noTracing, type Observe, silentLog, type Telemetry, type Tracing } from "./ports.js"
import { createRedactor, type Redactor } from "./redact.js"
import type { ResourceOptions } from "./resource.js"
import { signalsFromEnv } from "./signals.js"

/** Options of {@link startTelemetry}. */
export interface TelemetryOptions {
  /** `service.name`, unless `OTEL_SERVICE_NAME` says otherwise. */
  readonly serviceName: string
  readonly mesh: string
  readonly nodeId: string
  /** Of murmur: `service.version`. */
  readonly version: string
  /**
   * What decides which signals are on, the log level, and which values are secret. Normally `process.env`: the SDK, once
   * it is on, reads its details (endpoint, headers, sampler, batches) from there itself.
   */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Count for `/metrics`. Without it, and without an OTLP export of metrics, nothing is counted. */
  readonly prometheus: boolean
  /** Default: `MURMUR_LOG_LEVEL`, else `info`. */
  readonly logLevel?: LogLevel | undefined
  /** Log lines for people. Default: when standard error is a terminal. */
  readonly pretty?: boolean | undefined
  /** Further secret values to hide, such as a token given as an option. */
  readonly secrets?: readonly string[] | undefined
  /** Where log lines go. Default: standard error. */
  readonly logSink?: LineSink | undefined
  /** How long `shutdown` may take to send what is left, in milliseconds. Default 2,000; what is unsent then is lost. */
  readonly shutdownTimeoutMs?: number | undefined
}

/** Telemetry that runs. */
export interface RunningTelemetry {
  readonly telemetry: Telemetry
  /** For dead letters and whatever else leaves the process. */
  readonly redactor: Redactor
  /** Prometheus text; empty when nothing is counted. */
  metricsText(): Promise<string>
  /** Registers a gauge. */
  readonly observe: Observe
  /** Sends what is left. Never throws, and returns after `shutdownTimeoutMs` at the latest. */
  shutdown(): Promise<void>
}

const OPTIONS = [
  "serviceName",
  "mesh",
  "nodeId",
  "version",
  "env",
  "prometheus",
  "logLevel",
  "pretty",
  "secrets",
  "logSink",
  "shutdownTimeoutMs",
]

/**
 * Starts log, metrics and traces. What is off is not loaded: without an OTLP export no SDK, and the text for `/metrics`
 * only at the first scrape.
 *
 * @throws MurmurError `TELEMETRY_OPTION` or `LOG_LEVEL`
 * @example
 * const { telemetry, metricsText, shutdown } = await startTelemetry({
 *   serviceName: "murmur", mesh: "murmur", nodeId: "n1", version: "0.1.0", env: process.env, prometheus: true,
 * })
 */
export async function startTelemetry(options: TelemetryOptions): Promise<RunningTelemetry> {
  check(options)
  const { mesh, nodeId, env } = options
  const signals = signalsFromEnv(env)
  const redactor = createRedactor(env, options.secrets)
  let logFields = (): object => ({})
  let forward: LineForward | undefined
  const log = await createLog({
    level: checkLevel(options.logLevel ?? (env.MURMUR_LOG_LEVEL || "info"), "MURMUR_LOG_LEVEL"),
    pretty: options.pretty ?? (options.logSink === undefined && process.stderr.isTTY === true),
    redactor,
    base: { mesh, node: nodeId },
    mixin: () => logFields(),
    sink: options.logSink,
    forward: () => forward,
  })
  const counted = options.prometheus || signals.prometheus || signals.metrics.length > 0
  const store = counted ? new MetricStore() : undefined
  const metrics = store ?? noMetrics
  const how = { ...options, log, metrics, redactor, sink: options.logSink ?? process.stderr }

  const exports: OpenExport[] = []
  let tracing: Tracing = noTracing
  if (signals.traces.length > 0) {
    const open = (await import("./otel.js")).startTracing({ ...how, to: signals.traces })
    tracing = open.tracing
    logFields = open.logFields
    exports.push(open)
  }
  if (signals.logs.includes("otlp") && log !== silentLog) {
    const open = (await import("./otlp-logs.js")).startLogExport({ ...how, to: signals.logs })
    forward = open.forward
    exports.push(open)
  }
  if (store !== undefined && signals.metrics.length > 0) {
    exports.push((await import("./otlp-metrics.js")).startMetricExport(store, { ...how, to: signals.metrics }))
  }
  for (const warning of signals.warnings) log.warn({}, warning)
  // last: what the SDK has to say of the variables is said by now, and clearer
  if (exports.length > 0) (await import("./diagnostics.js")).quietDiagnostics(log)

  return {
    telemetry: { log, tracing, metrics },
    redactor,
    metricsText: async () => (store === undefined ? "" : textOf(store, how, log)),
    observe: store?.observe ?? (() => () => {}),
    shutdown: () => shutdown(exports, log, options.shutdownTimeoutMs ?? 2_000),
  }
}

async function textOf(store: MetricStore, options: ResourceOptions, log: Log): Promise<string> {
  const { prometheusText } = await import("./prometheus.js")
  const { text, errors } = prometheusText(store, options)
  for (const error of errors) log.warn({ err: ensureError(error) }, "a gauge could not be read")
  return text
}

async function shutdown(exports: OpenExport[], log: Log, timeoutMs: number): Promise<void> {
  const done = new AbortController()
  const late = delay(timeoutMs, "late" as const, { signal: done.signal }).catch(() => "late" as const)
  const all = Promise.allSettled(exports.splice(0).map((one) => one.shutdown()))
  const outcome = await Promise.race([all, late])
  done.abort()
  const failed = outcome === "late" || outcome.some((one) => one.status === "rejected")
  if (failed) log.warn({ timeoutMs }, "telemetry could not be sent in full before the end; the rest is lost")
}

function check(options: TelemetryOptions): void {
  const wrong = (message: string): MurmurError =>
    new MurmurError(`Cannot start telemetry: ${message}`, { code: "TELEMETRY_OPTION" })
  for (const name of Object.keys(options)) {
    if (!OPTIONS.includes(name)) throw wrong(`unknown option "${name}" (known: ${OPTIONS.join(", ")})`)
  }
  for (const name of ["serviceName", "mesh", "nodeId", "version"] as const) {
    const value: unknown = options[name]
    if (typeof value !== "string" || value === "") throw wrong(`${name} must be a text, is ${JSON.stringify(value)}`)
  }
  const { shutdownTimeoutMs: timeout = 1 } = options
  if (!(timeout > 0)) throw wrong(`shutdownTimeoutMs must be > 0, is ${timeout}`)
}
