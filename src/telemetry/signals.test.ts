import { describe, expect, it } from "vitest"
import { signalsFromEnv } from "./signals.js"

const at = "http://collector:4318"

describe("signals leave the process", () => {
  it.each([
    ["not at all by default", {}, false, false],
    ["both when an endpoint is set", { OTEL_EXPORTER_OTLP_ENDPOINT: at }, true, true],
    ["traces only when only their endpoint is set", { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: at }, true, false],
    ["metrics only when only their endpoint is set", { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: at }, false, true],
    ["by name of the exporter", { OTEL_TRACES_EXPORTER: "otlp" }, true, false],
    ["not when the exporter is none", { OTEL_EXPORTER_OTLP_ENDPOINT: at, OTEL_TRACES_EXPORTER: "none" }, false, true],
    [
      "not by OTLP when metrics are for Prometheus",
      { OTEL_EXPORTER_OTLP_ENDPOINT: at, OTEL_METRICS_EXPORTER: "prometheus" },
      true,
      false,
    ],
    ["by both when both are named", { OTEL_METRICS_EXPORTER: "otlp, prometheus" }, false, true],
    ["not when the SDK is disabled", { OTEL_EXPORTER_OTLP_ENDPOINT: at, OTEL_SDK_DISABLED: "TRUE" }, false, false],
    ["not by empty variables", { OTEL_EXPORTER_OTLP_ENDPOINT: " ", OTEL_TRACES_EXPORTER: "" }, false, false],
  ])("%s", (_how, env, traces, metrics) => {
    expect(signalsFromEnv(env)).toMatchObject({ traces, metrics })
  })

  it("with a warning about what is not supported", () => {
    const { traces, warnings } = signalsFromEnv({ OTEL_TRACES_EXPORTER: "zipkin", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" })
    expect(traces).toBe(false)
    expect(warnings).toEqual([
      "OTEL_TRACES_EXPORTER=zipkin is not supported (known: otlp, none)",
      "OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not supported: OTLP is sent by HTTP (port 4318)",
    ])
  })
})
