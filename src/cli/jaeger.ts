const UI_PORT = 16_686

/** Where a trace can be looked at: at `JAEGER_UI_URL`, or at the usual place when traces go to this machine. */
export function jaegerUrl(traceId: string | null, env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (traceId === null) return undefined
  const base = env.JAEGER_UI_URL?.trim() || localUi(env)
  return base && `${base.replace(/\/+$/, "")}/trace/${traceId}`
}

function localUi(env: NodeJS.ProcessEnv): string | undefined {
  const sent = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT || ""
  return /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\]):4318(\/|$)/.test(sent)
    ? `http://localhost:${UI_PORT}`
    : undefined
}
