import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TLSSocket } from "node:tls"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { type RunningTelemetry, startTelemetry, type TelemetryOptions } from "../src/telemetry/setup.js"
import { testCertificates } from "./support/certificates.js"
import { until } from "./support/mesh.js"
import { type OtlpReceiver, startOtlpReceiver } from "./support/otlp-receiver.js"

/** That the variables do what the documentation says of them, with the exporters as they are. */

const closing: (() => unknown)[] = []
let receiver: OtlpReceiver
beforeEach(async () => {
  receiver = await startOtlpReceiver()
  closing.push(() => receiver.close())
})
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface Started extends RunningTelemetry {
  readonly lines: string[]
}

async function start(env: Record<string, string>, options: Partial<TelemetryOptions> = {}): Promise<Started> {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  const lines: string[] = []
  const running = await startTelemetry({
    ...{ serviceName: "murmur", mesh: "m1", nodeId: "n1", version: "1.0.0", env: process.env, prometheus: false },
    logSink: { write: (line) => lines.push(line) },
    ...options,
  })
  closing.push(() => running.shutdown())
  return { ...running, lines }
}

const traced = (env: Record<string, string> = {}): Promise<Started> =>
  start({
    ...{ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_METRICS_EXPORTER: "none", OTEL_LOGS_EXPORTER: "none" },
    ...env,
  })

const span = ({ telemetry }: RunningTelemetry, traceparent?: string): string | undefined => {
  const options = { kind: "internal", ...(traceparent && { parent: { traceparent } }) } as const
  const open = telemetry.tracing.start("x", options)
  open.end()
  return open.context?.traceparent
}

describe("sampling", () => {
  const under = (flags: string, trace = "a"): string => `00-${trace.repeat(32)}-${"b".repeat(16)}-${flags}`
  const [YES, NO] = ["01", "00"]
  test.each([
    // sampler, argument, without a parent, under one that is sampled, under one that is not
    ["always_on", undefined, YES, YES, YES],
    ["always_off", undefined, NO, NO, NO],
    ["traceidratio", "0", NO, NO, NO],
    ["traceidratio", "1", YES, YES, YES],
    ["parentbased_always_on", undefined, YES, YES, NO],
    ["parentbased_always_off", undefined, NO, YES, NO],
    ["parentbased_traceidratio", "0", NO, YES, NO],
    ["parentbased_traceidratio", undefined, YES, YES, NO],
    [undefined, undefined, YES, YES, NO],
    ["no such sampler", undefined, YES, YES, NO],
    ["parentbased_traceidratio", "all of them", YES, YES, NO],
  ])("by %s (%s)", async (sampler, argument, root, sampled, unsampled) => {
    const running = await traced({
      ...(sampler !== undefined && { OTEL_TRACES_SAMPLER: sampler }),
      ...(argument !== undefined && { OTEL_TRACES_SAMPLER_ARG: argument }),
    })
    const flags = [span(running), span(running, under(YES)), span(running, under(NO))].map((text) => text?.slice(-2))
    expect(flags).toEqual([root, sampled, unsampled])
    await running.shutdown()
    expect(receiver.spans).toHaveLength(flags.filter((flag) => flag === YES).length)
    const isOdd = sampler === "no such sampler" || argument === "all of them"
    expect(running.lines.filter((line) => line.includes("OTEL_TRACES_SAMPLER"))).toHaveLength(isOdd ? 1 : 0)
  })

  test("by a share of the trace ids, the same one for all that see a trace", async () => {
    const running = await traced({ OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.25" })
    const traces = Array.from({ length: 2_000 }, (_, n) =>
      (n * 2_654_435_761).toString(16).padStart(32, "7").slice(-32),
    )
    const decide = (): (string | undefined)[] =>
      traces.map((trace) => span(running, `00-${trace}-${"b".repeat(16)}-00`)?.slice(-2))
    const first = decide()
    expect(decide()).toEqual(first)
    const share = first.filter((flag) => flag === YES).length / traces.length
    expect(share).toBeGreaterThan(0.2)
    expect(share).toBeLessThan(0.3)
  })
})

test("what has no effect is told once, and all else goes on", async () => {
  const running = await traced({
    OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "0",
    OTEL_PROPAGATORS: "b3",
    OTEL_EXPORTER_OTLP_COMPRESSION: "brotli",
    OTEL_EXPORTER_OTLP_TIMEOUT: "never",
    OTEL_RESOURCE_ATTRIBUTES: "broken",
  })
  span(running)
  await running.shutdown()
  expect(receiver.spans).toHaveLength(1)
  const told = running.lines.map((line) => JSON.parse(line) as { level: string; msg: string })
  expect(told.map(({ level }) => level)).toEqual(Array(6).fill("warn"))
  expect(new Set(told.map(({ msg }) => msg)).size).toBe(6)
})

test("each signal has its own address, headers and compression", async () => {
  const other = await startOtlpReceiver()
  closing.push(() => other.close())
  const running = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: `${receiver.url}/all`,
    OTEL_EXPORTER_OTLP_HEADERS: "x-team=blue,authorization=Bearer%20all-of-them",
    OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: `${other.url}/own/path`,
    OTEL_EXPORTER_OTLP_LOGS_HEADERS: "x-team=red",
    OTEL_EXPORTER_OTLP_LOGS_COMPRESSION: "gzip",
  })
  span(running)
  running.telemetry.log.info({ token: "Bearer all-of-them", at: "all-of-them" }, "with Bearer all-of-them in it")
  await running.shutdown()
  const headers = { "x-team": "blue", authorization: "Bearer all-of-them" }
  expect(receiver.headers.toSorted((a, b) => String(a.path).localeCompare(String(b.path)))).toMatchObject([
    { ...headers, path: "/all/v1/metrics" },
    { ...headers, path: "/all/v1/traces" },
  ])
  expect(other.headers).toMatchObject([
    { path: "/own/path", "x-team": "red", authorization: headers.authorization, "content-encoding": "gzip" },
  ])
  expect(other.logs).toHaveLength(1)
  expect(JSON.stringify(other.bodies)).not.toContain("all-of-them")
})

test("a resource says who speaks, without secrets, and its own variables win", async () => {
  const running = await traced({
    OTEL_SERVICE_NAME: "desk",
    OTEL_RESOURCE_ATTRIBUTES: "service.name=other,service.instance.id=pod-7,team=blue,api.key=hush,note=hush-hush-hush",
    MY_TOKEN: "hush-hush-hush",
  })
  span(running)
  await running.shutdown()
  expect(receiver.spans[0]?.resource).toMatchObject({
    ...{ "service.name": "desk", "service.instance.id": "pod-7", "murmur.mesh": "m1", team: "blue" },
    ...{ "api.key": "[redacted]", note: "[redacted]" },
  })
})

describe("log lines", () => {
  const withLogs = (level?: "info" | "silent"): Promise<Started> =>
    start(
      { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_METRICS_EXPORTER: "none", MY_API_KEY: "hush-hush-hush" },
      level === undefined ? {} : { logLevel: level },
    )

  test("go out as they are on the console: no more of them, and redacted", async () => {
    const running = await withLogs()
    const { log } = running.telemetry
    log.debug({}, "below the level")
    log.warn({ agent: "a", password: "x", deep: { key: "hush-hush-hush" } }, "with hush-hush-hush")
    log.error({ err: Object.assign(new Error("at hush-hush-hush"), { code: "E_OWN", extra: 1 }) }, "failed")
    await running.shutdown()
    expect(running.lines).toHaveLength(2)
    expect(receiver.logs).toMatchObject([
      { severityText: "WARN", severityNumber: 13, body: { stringValue: "with [redacted]" } },
      { severityText: "ERROR", severityNumber: 17, body: { stringValue: "failed" } },
    ])
    expect(receiver.logs[0]?.attributes).toMatchObject({ agent: "a", password: "[redacted]" })
    expect(receiver.logs[1]?.attributes).toMatchObject({
      ...{ "error.type": "E_OWN", "exception.type": "Error", "exception.message": "at [redacted]" },
    })
    expect(JSON.stringify(receiver.bodies)).not.toContain("hush")
  })

  test("do not go out of a silent node, nor when their exporter is none", async () => {
    const silent = await withLogs("silent")
    silent.telemetry.log.error({}, "unheard")
    await silent.shutdown()
    vi.stubEnv("OTEL_LOGS_EXPORTER", "none")
    const mute = await withLogs("info")
    mute.telemetry.log.error({}, "for the console")
    await mute.shutdown()
    expect(mute.lines).toHaveLength(1)
    expect(receiver.logs).toEqual([])
  })
})

test("metrics go out each interval, cumulative", async () => {
  const running = await start({
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${receiver.url}/v1/metrics`,
    OTEL_METRIC_EXPORT_INTERVAL: "50",
  })
  running.telemetry.metrics.count("murmur.events.received", 1)
  const steps = (): unknown[] =>
    receiver.metrics
      .filter(({ name }) => name === "murmur.events.received")
      .flatMap(({ points }) => points.map(({ raw }) => (raw as { asInt?: number }).asInt))
  await until("one interval is over", () => steps().includes(1))
  running.telemetry.metrics.count("murmur.events.received", 2)
  await until("another is over", () => steps().includes(3))
})

test("the exporter console writes lines where the log is, not to standard output", async () => {
  const running = await start({
    ...{ OTEL_TRACES_EXPORTER: "console", OTEL_METRICS_EXPORTER: "console", OTEL_LOGS_EXPORTER: "console" },
    MY_TOKEN: "hush-hush-hush",
  })
  const open = running.telemetry.tracing.start("process a", {
    kind: "consumer",
    attributes: { note: "hush-hush-hush" },
    links: [{ traceparent: `00-${"c".repeat(32)}-${"d".repeat(16)}-01` }],
  })
  open.end()
  running.telemetry.metrics.count("murmur.events.received", 2, { agent: "a" })
  running.telemetry.log.info({}, "a line")
  await running.shutdown()
  const lines = running.lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(lines).toMatchObject([
    {
      span: {
        ...{ name: "process a", kind: "consumer", attributes: { note: "[redacted]" } },
        links: [{ traceId: "c".repeat(32), spanId: "d".repeat(16) }],
      },
    },
    { msg: "a line" },
    { metric: { name: "murmur.events.received", points: [{ attributes: { agent: "a" }, value: 2 }] } },
  ])
  expect(receiver.bodies).toEqual([])
})

test("OTEL_SDK_DISABLED switches all of it off, and the trace of others is handed on", async () => {
  const running = await traced({ OTEL_SDK_DISABLED: "true", OTEL_LOGS_EXPORTER: "otlp", OTEL_METRICS_EXPORTER: "otlp" })
  expect(running.telemetry.tracing.enabled).toBe(false)
  const parent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`
  expect(span(running, parent)).toBe(parent)
  running.telemetry.log.info({}, "for the console alone")
  await running.shutdown()
  expect(receiver.bodies).toEqual([])
})

test("certificates: of the collector's authority, and of ours where it asks for one", async () => {
  const folder = mkdtempSync(join(tmpdir(), "murmur-otlp-"))
  closing.push(() => rmSync(folder, { recursive: true, force: true }))
  const { ca, server, client } = await testCertificates("a collector", "a node")
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const seen: { path: string | undefined; who: string | undefined }[] = []
  const collector = createServer(
    { ...server, ca, requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      const { subject } = (request.socket as TLSSocket).getPeerCertificate()
      seen.push({ path: request.url, who: String(subject?.CN) })
      request.resume().on("end", () => response.end("{}"))
    },
  ).listen(0, "127.0.0.1")
  await once(collector, "listening")
  closing.push(() => {
    collector.closeAllConnections()
    collector.close()
  })
  const running = await traced({
    OTEL_EXPORTER_OTLP_ENDPOINT: `https://127.0.0.1:${(collector.address() as AddressInfo).port}`,
    OTEL_EXPORTER_OTLP_CERTIFICATE: file("ca.pem", ca),
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: file("client.pem", client.cert),
    OTEL_EXPORTER_OTLP_CLIENT_KEY: file("client.key", client.key),
  })
  span(running)
  await running.shutdown()
  expect(seen).toEqual([{ path: "/v1/traces", who: "a node" }])
  expect(running.lines).toEqual([])
})
