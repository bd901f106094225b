type Env = Readonly<Record<string, string | undefined>>

/** Which signals leave the process, by the environment variables of the OpenTelemetry specification. */
export interface Signals {
  /** Traces go out by OTLP/HTTP. */
  readonly traces: boolean
  /** Metrics go out by OTLP/HTTP. */
  readonly metrics: boolean
  /** `OTEL_METRICS_EXPORTER` asks for Prometheus. */
  readonly prometheus: boolean
  /** What was asked for and is not supported; to be logged. */
  readonly warnings: readonly string[]
}

/**
 * Reads the switches. A signal goes out when its exporter is `otlp`, or when none is named and an endpoint is set:
 * without any of them nothing of OpenTelemetry is loaded.
 */
export function signalsFromEnv(env: Env): Signals {
  const warnings: string[] = []
  const traces = exporters(env, "OTEL_TRACES_EXPORTER", ["otlp", "none"], warnings)
  const metrics = exporters(env, "OTEL_METRICS_EXPORTER", ["otlp", "prometheus", "none"], warnings)
  for (const name of ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"]) {
    if (env[name]?.trim() === "grpc") warnings.push(`${name}=grpc is not supported: OTLP is sent by HTTP (port 4318)`)
  }
  const prometheus = metrics?.includes("prometheus") ?? false
  if (env.OTEL_SDK_DISABLED?.trim().toLowerCase() === "true") {
    return { traces: false, metrics: false, prometheus, warnings: [] }
  }
  return {
    traces: traces?.includes("otlp") ?? hasEndpoint(env, "TRACES"),
    metrics: metrics?.includes("otlp") ?? hasEndpoint(env, "METRICS"),
    prometheus,
    warnings,
  }
}

const hasEndpoint = (env: Env, signal: string): boolean =>
  Boolean(env.OTEL_EXPORTER_OTLP_ENDPOINT?.trim() || env[`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`]?.trim())

function exporters(env: Env, variable: string, known: string[], warnings: string[]): string[] | undefined {
  const named = (env[variable] ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "")
  for (const name of named) {
    if (!known.includes(name)) warnings.push(`${variable}=${name} is not supported (known: ${known.join(", ")})`)
  }
  return named.length === 0 ? undefined : named
}
