import { checkVariables } from "./variables.js"

type Env = Readonly<Record<string, string | undefined>>

/** Where a signal goes: by OTLP/HTTP to a collector, or as lines to standard error. */
export type Destination = "otlp" | "console"

/** Which signals leave the process, by the environment variables of the OpenTelemetry specification. */
export interface Signals {
  readonly traces: readonly Destination[]
  readonly metrics: readonly Destination[]
  readonly logs: readonly Destination[]
  /** `OTEL_METRICS_EXPORTER` asks for Prometheus. */
  readonly prometheus: boolean
  /** What was asked for and is not supported; to be logged. */
  readonly warnings: readonly string[]
}

const DESTINATIONS: readonly string[] = ["otlp", "console"] satisfies Destination[]
const NOTHING = { traces: [], metrics: [], logs: [] } as const

/**
 * Reads the switches. A signal goes out to the exporters that are named, or by OTLP when none is named and an endpoint is
 * set: without any of them nothing of OpenTelemetry is loaded.
 */
export function signalsFromEnv(env: Env): Signals {
  const warnings: string[] = []
  const metrics = exporters(env, "METRICS", ["otlp", "console", "prometheus", "none"], warnings)
  const prometheus = metrics.includes("prometheus")
  if (env.OTEL_SDK_DISABLED?.trim().toLowerCase() === "true") return { ...NOTHING, prometheus, warnings: [] }
  const signals = {
    traces: destinations(env, "TRACES", exporters(env, "TRACES", ["otlp", "console", "none"], warnings), warnings),
    metrics: destinations(env, "METRICS", metrics, warnings),
    logs: destinations(env, "LOGS", exporters(env, "LOGS", ["otlp", "console", "none"], warnings), warnings),
  }
  const isOn = Object.values(signals).some((to) => to.length > 0)
  return { ...signals, prometheus, warnings: isOn ? [...warnings, ...checkVariables(env)] : warnings }
}

type Signal = "TRACES" | "METRICS" | "LOGS"

/** The exporters of a signal: those named, else OTLP when there is an endpoint. */
function exporters(env: Env, signal: Signal, known: readonly string[], warnings: string[]): string[] {
  const variable = `OTEL_${signal}_EXPORTER`
  const named = (env[variable] ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "")
  for (const name of named) {
    if (!known.includes(name)) warnings.push(`${variable}=${name} is not supported (known: ${known.join(", ")})`)
  }
  if (named.length > 0) return named.includes("none") ? [] : named
  return endpointOf(env, signal) === undefined ? [] : ["otlp"]
}

function destinations(env: Env, signal: Signal, named: readonly string[], warnings: string[]): Destination[] {
  const wanted = named.filter((name): name is Destination => DESTINATIONS.includes(name))
  const endpoint = endpointOf(env, signal)
  if (!wanted.includes("otlp") || endpoint === undefined || isHttp(endpoint.url)) return [...new Set(wanted)]
  const text = `${endpoint.variable}=${endpoint.url} is no URL that begins with http:// or https://`
  warnings.push(`${text}: no ${signal.toLowerCase()} are sent`)
  return wanted.filter((name) => name !== "otlp")
}

function endpointOf(env: Env, signal: Signal): { readonly variable: string; readonly url: string } | undefined {
  for (const variable of [`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`, "OTEL_EXPORTER_OTLP_ENDPOINT"]) {
    const url = env[variable]?.trim()
    if (url) return { variable, url }
  }
  return undefined
}

function isHttp(url: string): boolean {
  return URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)
}
