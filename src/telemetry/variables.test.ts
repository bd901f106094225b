import { describe, expect, it } from "vitest"
import { signalsFromEnv } from "./signals.js"
import { batchOptions, checkVariables } from "./variables.js"

describe("a variable that has no effect is told, and what is done instead", () => {
  it.each([
    ["OTEL_TRACES_SAMPLER", "xray", /=xray is not supported: parentbased_always_on is used \(known: .*traceidratio/],
    ["OTEL_TRACES_SAMPLER", "jaeger_remote", /is not supported/],
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", /=grpc is not supported: http\/json is used$/],
    ["OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf", /is not supported: http\/json is used$/],
    ["OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", /is not supported: none is used \(known: none, gzip\)/],
    ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta", /is not supported: cumulative is used$/],
    ["OTEL_SDK_DISABLED", "yes", /is not supported: false is used/],
    ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0", /=0 is not used: it must be an integer from 1; the default is used/],
    ["OTEL_BLRP_SCHEDULE_DELAY", "soon", /=soon is not used/],
    ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "-1", /=-1 is not used/],
    ["OTEL_METRIC_EXPORT_INTERVAL", "1.5", /=1.5 is not used/],
    ["OTEL_SPAN_LINK_COUNT_LIMIT", "-1", /must be an integer from 0/],
    ["OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem", /ca.pem cannot be read, so it is not used/],
    ["OTEL_PROPAGATORS", "tracecontext,b3", /=b3 is not supported: tracecontext and baggage are always read/],
    ["OTEL_RESOURCE_ATTRIBUTES", "team=a=b", /is not used: it must be name=value pairs/],
    ["OTEL_RESOURCE_ATTRIBUTES", "team=%zz", /is not used/],
    ["OTEL_LOG_LEVEL", "debug", /is not used: MURMUR_LOG_LEVEL sets the level/],
  ])("%s=%s", (name, value, told) => {
    const said = checkVariables({ [name]: value })
    expect(said).toHaveLength(1)
    expect(said[0]).toMatch(told)
    expect(said[0]).toContain(name)
  })

  it("for the argument of a sampler that takes one", () => {
    const bad = { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "half" }
    expect(checkVariables(bad)[0]).toContain("OTEL_TRACES_SAMPLER_ARG=half is not used")
    expect(checkVariables({ ...bad, OTEL_TRACES_SAMPLER: "always_on" })).toEqual([])
  })

  it("and only while something is exported", () => {
    const odd = { OTEL_PROPAGATORS: "b3" }
    expect(signalsFromEnv(odd).warnings).toEqual([])
    expect(signalsFromEnv({ ...odd, OTEL_LOGS_EXPORTER: "otlp" }).warnings).toHaveLength(1)
    expect(signalsFromEnv({ ...odd, OTEL_LOGS_EXPORTER: "otlp", OTEL_SDK_DISABLED: "true" }).warnings).toEqual([])
  })
})

it("what is supported says nothing", () => {
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: "https://collector:4318",
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20x",
    OTEL_EXPORTER_OTLP_TIMEOUT: "5000",
    OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
    OTEL_TRACES_SAMPLER_ARG: "0.25",
    OTEL_PROPAGATORS: "tracecontext,baggage",
    OTEL_RESOURCE_ATTRIBUTES: "team=a%3Db, deployment.environment.name=test",
    OTEL_SERVICE_NAME: "mine",
    OTEL_BSP_SCHEDULE_DELAY: "100",
    OTEL_SPAN_LINK_COUNT_LIMIT: "0",
  }
  expect(signalsFromEnv(env).warnings).toEqual([])
})

it("a queue is never emptied in batches of nothing, nor in larger ones than it holds", () => {
  expect(batchOptions({ OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "0" }, "BSP")).toEqual({
    maxQueueSize: 2_048,
    maxExportBatchSize: 512,
    scheduledDelayMillis: 5_000,
    exportTimeoutMillis: 30_000,
  })
  const small = batchOptions({ OTEL_BLRP_MAX_QUEUE_SIZE: "10", OTEL_BSP_MAX_QUEUE_SIZE: "20" }, "BLRP")
  expect(small).toMatchObject({ maxQueueSize: 10, maxExportBatchSize: 10, scheduledDelayMillis: 1_000 })
})
