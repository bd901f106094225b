import { describe, expect, it } from "vitest"
import { signalsFromEnv } from "./signals.js"

const at = "http://collector:4318"
const OTLP = ["otlp"]
const OFF: string[] = []

describe("signals leave the process", () => {
  it.each([
    ["not at all by default", {}, OFF, OFF, OFF],
    ["all of them when an endpoint is set", { OTEL_EXPORTER_OTLP_ENDPOINT: at }, OTLP, OTLP, OTLP],
    ["traces only when only their endpoint is set", { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: at }, OTLP, OFF, OFF],
    ["metrics only when only their endpoint is set", { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: at }, OFF, OTLP, OFF],
    ["logs only when only their endpoint is set", { OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: at }, OFF, OFF, OTLP],
    ["by name of the exporter", { OTEL_TRACES_EXPORTER: "otlp" }, OTLP, OFF, OFF],
    ["as lines", { OTEL_TRACES_EXPORTER: "console", OTEL_METRICS_EXPORTER: "console" }, ["console"], ["console"], OFF],
    ["by two ways", { OTEL_TRACES_EXPORTER: "otlp, console" }, ["otlp", "console"], OFF, OFF],
    [
      "not when the exporter is none",
      { OTEL_EXPORTER_OTLP_ENDPOINT: at, OTEL_TRACES_EXPORTER: "none", OTEL_LOGS_EXPORTER: "NONE" },
      OFF,
      OTLP,
      OFF,
    ],
    [
      "not by OTLP when metrics are for Prometheus",
      { OTEL_EXPORTER_OTLP_ENDPOINT: at, OTEL_METRICS_EXPORTER: "prometheus", OTEL_LOGS_EXPORTER: "none" },
      OTLP,
      OFF,
      OFF,
    ],
    ["by both when both are named", { OTEL_METRICS_EXPORTER: "otlp, prometheus" }, OFF, OTLP, OFF],
    ["not when the SDK is disabled", { OTEL_EXPORTER_OTLP_ENDPOINT: at, OTEL_SDK_DISABLED: "TRUE" }, OFF, OFF, OFF],
    ["not by empty variables", { OTEL_EXPORTER_OTLP_ENDPOINT: " ", OTEL_TRACES_EXPORTER: "" }, OFF, OFF, OFF],
  ])("%s", (_how, env, traces, metrics, logs) => {
    expect(signalsFromEnv(env)).toMatchObject({ traces, metrics, logs, warnings: [] })
  })

  it("with a warning about an exporter that is not supported", () => {
    const { traces, warnings } = signalsFromEnv({ OTEL_TRACES_EXPORTER: "zipkin" })
    expect(traces).toEqual([])
    expect(warnings).toEqual(["OTEL_TRACES_EXPORTER=zipkin is not supported (known: otlp, console, none)"])
  })

  it("not to an address that is none, which is said for each signal", () => {
    const { traces, metrics, logs, warnings } = signalsFromEnv({
      OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4318",
      OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: at,
    })
    expect({ traces, metrics, logs }).toEqual({ traces: [], metrics: [], logs: OTLP })
    expect(warnings).toEqual([
      "OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318 is no URL that begins with http:// or https://: no traces are sent",
      "OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318 is no URL that begins with http:// or https://: no metrics are sent",
    ])
  })
})
