import { execFile } from "node:child_process"
import { once } from "node:events"
import { createServer, type Socket } from "node:net"
import { promisify } from "node:util"
import { afterEach, describe, expect, it, vi } from "vitest"
import { type OtlpReceiver, startOtlpReceiver } from "../../test/support/otlp-receiver.js"
import { MurmurError } from "../errors.js"
import { noMetrics, noTracing } from "./ports.js"
import { type RunningTelemetry, startTelemetry, type TelemetryOptions } from "./setup.js"

const SECRET = "hush-hush-hush"
const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const end of cleanup.splice(0).reverse()) await end()
})

async function start(options: Partial<TelemetryOptions> = {}) {
  const lines: string[] = []
  const running = await startTelemetry({
    serviceName: "murmur",
    mesh: "m1",
    nodeId: "n1",
    version: "0.0.1",
    env: process.env,
    prometheus: false,
    logSink: { write: (line) => lines.push(line) },
    ...options,
  })
  cleanup.push(() => running.shutdown())
  return { ...running, lines, logged: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) }
}

async function withCollector(env: Record<string, string> = {}): Promise<OtlpReceiver> {
  const collector = await startOtlpReceiver()
  cleanup.push(() => collector.close())
  vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
  vi.stubEnv("OTEL_METRICS_EXPORTER", "none")
  vi.stubEnv("MY_API_KEY", SECRET)
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  return collector
}

describe("traces", () => {
  it("reach the collector as one tree, with kinds, links, attributes and failures", async () => {
    const collector = await withCollector({ OTEL_EXPORTER_OTLP_HEADERS: "x-team=blue" })
    const { telemetry, shutdown } = await start()
    const { tracing } = telemetry
    const link = { traceparent: `00-${"c".repeat(32)}-${"d".repeat(16)}-01` }
    const root = tracing.start("send ci.run", {
      kind: "producer",
      parent: { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, tracestate: "v=1" },
      links: [link, { traceparent: "broken" }],
      attributes: { "messaging.system": "nats", absent: undefined, n: 1, ok: true },
    })
    expect(root.context).toMatchObject({ tracestate: "v=1" })
    const child = tracing.start("process ci-triage", { kind: "consumer", parent: root.context })
    child.run(() => tracing.start("inner", { kind: "internal" }).end())
    child.fail(new MurmurError(`bad ${SECRET}`, { code: "LOG_LEVEL" }))
    child.end()
    root.set({ late: "yes", password: "x" })
    root.end()
    await shutdown()

    const [inner, consumed, sent] = collector.spans
    expect(sent).toMatchObject({
      name: "send ci.run",
      kind: 4,
      traceId: "a".repeat(32),
      parentSpanId: "b".repeat(16),
      attributes: { "messaging.system": "nats", n: 1, ok: true, late: "yes", password: "[redacted]" },
      resource: { "service.name": "murmur", "service.instance.id": "n1", "murmur.mesh": "m1" },
    })
    expect(sent?.attributes).not.toHaveProperty("absent")
    expect(sent?.links).toMatchObject([{ traceId: "c".repeat(32), spanId: "d".repeat(16) }])
    expect(consumed).toMatchObject({ kind: 5, traceId: "a".repeat(32), parentSpanId: sent?.spanId })
    expect(consumed?.status).toEqual({ code: 2, message: "bad [redacted]" })
    expect(consumed?.attributes).toEqual({ "error.type": "LOG_LEVEL" })
    expect(consumed?.events[0]).toMatchObject({
      name: "exception",
      attributes: { "exception.message": "bad [redacted]" },
    })
    expect(JSON.stringify(consumed)).not.toContain(SECRET)
    expect(inner).toMatchObject({ traceId: "a".repeat(32), parentSpanId: consumed?.spanId })
    expect(collector.headers[0]).toMatchObject({ "x-team": "blue", path: "/v1/traces" })
  })

  it("survive await, so that what a handler starts later nests below its span", async () => {
    const collector = await withCollector()
    const { telemetry, shutdown } = await start()
    const outer = telemetry.tracing.start("outer", { kind: "consumer" })
    await outer.run(async () => {
      await new Promise((resolve) => setImmediate(resolve))
      telemetry.tracing.start("later", { kind: "client" }).end()
    })
    outer.end()
    await shutdown()
    expect(collector.spans.find(({ name }) => name === "later")?.parentSpanId).toBe(
      collector.spans.find(({ name }) => name === "outer")?.spanId,
    )
  })

  it("start anew from a malformed parent", async () => {
    await withCollector()
    const { telemetry } = await start()
    const span = telemetry.tracing.start("x", { kind: "server", parent: { traceparent: `00-${"0".repeat(32)}-junk` } })
    expect(span.context?.traceparent).toMatch(/^00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-01$/)
  })

  it("obey the sampler and the service name of the environment, and hand the decision on", async () => {
    const collector = await withCollector({ OTEL_TRACES_SAMPLER: "always_off", OTEL_SERVICE_NAME: "mine" })
    const { telemetry, shutdown } = await start()
    const span = telemetry.tracing.start("unsampled", { kind: "internal" })
    expect(span.context?.traceparent).toMatch(/-00$/)
    span.end()
    await shutdown()
    expect(collector.spans).toEqual([])
  })

  it("put their ids on log lines", async () => {
    await withCollector()
    const { telemetry, logged } = await start()
    const span = telemetry.tracing.start("x", { kind: "internal" })
    span.run(() => telemetry.log.info({ a: 1 }, "inside"))
    telemetry.log.info({}, "outside")
    const [inside, outside] = logged()
    expect(span.context?.traceparent).toBe(`00-${inside?.trace_id}-${inside?.span_id}-01`)
    expect(outside).not.toHaveProperty("trace_id")
  })
})

describe("a collector that is away", () => {
  it("costs spans and one warning, no more: nothing throws and the end comes in time", async () => {
    const { port } = await deafServer()
    vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", `http://127.0.0.1:${port}`)
    const { telemetry, shutdown, logged } = await start({ shutdownTimeoutMs: 200 })
    for (let i = 0; i < 5_000; i++) telemetry.tracing.start("lost", { kind: "internal" }).end()
    const started = performance.now()
    await shutdown()
    expect(performance.now() - started).toBeLessThan(1_500)
    expect(logged().at(-1)?.msg).toContain("could not be sent in full")
  })
})

/** Takes connections and never answers. */
async function deafServer(): Promise<{ port: number }> {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    socket.on("error", () => {})
    sockets.push(socket)
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  cleanup.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return server.address() as { port: number }
}

describe("metrics", () => {
  function use({ telemetry, observe }: RunningTelemetry): void {
    telemetry.metrics.count("murmur.events.received", 2, { agent: 'quo"te', outcome: "done" })
    telemetry.metrics.duration("murmur.step.duration", 0.2, { agent: "a" })
    observe("murmur.consumer.lag", "Events waiting", () => [{ value: 7, labels: { agent: "a" } }])
    observe("murmur.sessions", "Sessions in memory", () => {
      throw new Error("gone")
    })
  }

  it("are Prometheus text, and a gauge that throws leaves the others alone", async () => {
    const running = await start({ prometheus: true, env: {} })
    use(running)
    const text = await running.metricsText()
    expect(text).toContain('murmur_events_received_total{agent="quo\\"te",outcome="done"} 2\n')
    expect(text).toContain("# TYPE murmur_step_duration_seconds histogram")
    expect(text).toContain('murmur_step_duration_seconds_bucket{agent="a",le="0.1"} 0\n')
    expect(text).toContain('murmur_step_duration_seconds_bucket{agent="a",le="0.25"} 1\n')
    expect(text).toContain('murmur_step_duration_seconds_bucket{agent="a",le="+Inf"} 1\n')
    expect(text).toContain('murmur_consumer_lag{agent="a"} 7')
    expect(text).toContain('murmur_mesh="m1"')
    expect(running.logged().at(-1)).toMatchObject({ level: "warn", msg: "a gauge could not be read" })
  })

  it("go out by OTLP when that is asked for, the last ones at the end", async () => {
    const collector = await withCollector({ OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "otlp" })
    const running = await start()
    use(running)
    await running.shutdown()
    const points = Object.fromEntries(collector.metrics.map(({ name, points }) => [name, points]))
    expect(points["murmur.events.received"]).toMatchObject([
      { attributes: { agent: 'quo"te', outcome: "done" }, raw: { asInt: 2 } },
    ])
    expect(points["murmur.step.duration"]).toMatchObject([{ raw: { count: 1, sum: 0.2 } }])
    expect(points["murmur.consumer.lag"]).toMatchObject([{ raw: { asDouble: 7 } }])
    expect(collector.headers[0]?.path).toBe("/v1/metrics")
  })

  it("are not kept when nobody asks for them", async () => {
    const { telemetry, metricsText } = await start({ env: {} })
    expect(telemetry.metrics).toBe(noMetrics)
    expect(telemetry.tracing).toBe(noTracing)
    expect(await metricsText()).toBe("")
  })
})

describe("the log", () => {
  it("is JSON with level, node and mesh, and without secrets wherever they stand", async () => {
    const { telemetry, lines, logged } = await start({ env: { MY_TOKEN: SECRET }, secrets: ["from-an-option"] })
    const err = new MurmurError(`Cannot use ${SECRET}`, { code: "X", details: { apiKey: "k", at: SECRET } })
    telemetry.log.warn({ err, url: "nats://u:p@h", header: Buffer.from(SECRET).toString("base64") }, `with ${SECRET}`)
    telemetry.log.debug({}, "below the level")
    telemetry.log.info({}, "from-an-option")
    expect(logged()).toHaveLength(2)
    expect(logged()[0]).toMatchObject({
      level: "warn",
      node: "n1",
      mesh: "m1",
      msg: "with [redacted]",
      err: { code: "X" },
    })
    expect(lines.join("")).not.toMatch(/hush|u:p|"k"|from-an-option/)
  })

  it("has the level of MURMUR_LOG_LEVEL, and the option wins", async () => {
    const env = { MURMUR_LOG_LEVEL: "error" }
    const quiet = await start({ env })
    quiet.telemetry.log.warn({}, "no")
    const chatty = await start({ env, logLevel: "debug" })
    chatty.telemetry.log.debug({}, "yes")
    const silent = await start({ env, logLevel: "silent" })
    silent.telemetry.log.error({}, "no")
    expect([quiet.lines.length, chatty.lines.length, silent.lines.length]).toEqual([0, 1, 0])
  })

  it("can be for people", async () => {
    const { telemetry, lines } = await start({ env: {}, pretty: true })
    telemetry.log.info({ agent: "a" }, "it runs")
    expect(lines.join("")).toMatch(/INFO.*it runs.*agent/)
  })
})

describe("what is off", () => {
  it("is not loaded: no OpenTelemetry at all without an export, with metrics counted", async () => {
    const script = `
      import { createRequire } from "node:module"
      import { createJiti } from "jiti"
      const { startTelemetry } = await createJiti(process.cwd() + "/x.js").import("./src/telemetry/setup.ts")
      const options = { serviceName: "s", mesh: "m", nodeId: "n", version: "1", env: {}, prometheus: true }
      const { telemetry, metricsText } = await startTelemetry(options)
      telemetry.metrics.count("murmur.events.received", 1)
      const loaded = () => Object.keys(createRequire(import.meta.url).cache).filter((path) => path.includes("@opentelemetry"))
      const before = loaded().length
      await metricsText()
      process.stdout.write(JSON.stringify({ before, after: loaded().length > 0 }))`
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script])
    expect(JSON.parse(stdout)).toEqual({ before: 0, after: true })
  })
})

describe("options", () => {
  it("are all checked", async () => {
    await expect(start({ prometeus: true } as Partial<TelemetryOptions>)).rejects.toThrow(/unknown option "prometeus"/)
    await expect(start({ mesh: "" })).rejects.toMatchObject({ code: "TELEMETRY_OPTION" })
    await expect(start({ shutdownTimeoutMs: 0 })).rejects.toThrow(/must be > 0, is 0/)
    await expect(start({ env: { MURMUR_LOG_LEVEL: "loud" } })).rejects.toMatchObject({ code: "LOG_LEVEL" })
  })
})
