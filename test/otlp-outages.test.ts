import { fileURLToPath } from "node:url"
import { afterEach, describe, expect, test, vi } from "vitest"
import { z } from "zod"
import { defineAgent } from "../src/agents/define-agent.js"
import { defineEvent } from "../src/bus/define-event.js"
import { type RunningTelemetry, startTelemetry } from "../src/telemetry/setup.js"
import { buildCli, murmur } from "./cli/support/cli.js"
import { Work } from "./fixtures/counting.js"
import { type BadCollector, type CollectorFault, startBadCollector } from "./support/bad-collector.js"
import { startMesh, take, until } from "./support/mesh.js"
import { startNodeProcess } from "./support/node-process.js"

const Asked = defineEvent("o.asked", z.object({ n: z.number() }), { key: (d) => `k${d.n % 10}` })
const Answered = defineEvent("o.answered", z.object({ n: z.number() }), { key: (d) => `k${d.n % 10}` })
const FIXTURE = fileURLToPath(new URL("./fixtures/counting.ts", import.meta.url))
const EVENTS = 200
const SHUTDOWN_MS = 500

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface Traced extends RunningTelemetry {
  readonly collector: BadCollector
  /** What was logged about the delivery of signals. */
  told(): Record<string, unknown>[]
  /** Items that were lost, by the node's own metric. */
  dropped(signal: string): Promise<number>
}

/** Telemetry of all signals, with small queues, to a collector that fails. */
async function tracedTo(fault: CollectorFault, env: Record<string, string> = {}): Promise<Traced> {
  const collector = await startBadCollector(fault)
  closing.push(() => collector.close())
  const small = { MAX_QUEUE_SIZE: "50", MAX_EXPORT_BATCH_SIZE: "20", SCHEDULE_DELAY: "20" }
  const variables = {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_TIMEOUT: "300",
    OTEL_METRIC_EXPORT_INTERVAL: "100",
    ...Object.fromEntries(
      ["BSP", "BLRP"].flatMap((kind) => Object.entries(small).map(([name, value]) => [`OTEL_${kind}_${name}`, value])),
    ),
    ...env,
  }
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value)
  const lines: string[] = []
  const running = await startTelemetry({
    ...{ serviceName: "murmur", mesh: "test", nodeId: "n1", version: "0.0.0", env: process.env, prometheus: true },
    ...{ logLevel: "debug", shutdownTimeoutMs: SHUTDOWN_MS, logSink: { write: (line: string) => lines.push(line) } },
  })
  closing.push(() => running.shutdown())
  return {
    ...running,
    collector,
    told: () => lines.map((line) => JSON.parse(line)).filter(({ signal, otel }) => signal !== undefined || otel),
    dropped: async (signal) => {
      const counts = (await running.metricsText())
        .split("\n")
        .filter((line) => line.startsWith("murmur_telemetry_dropped_total{") && line.includes(`signal="${signal}"`))
      return counts.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0)
    },
  }
}

const answerer = defineAgent("answerer", {
  on: [Asked],
  emits: [Answered],
  handle({ data }, ctx) {
    ctx.log.info({ n: data.n }, "asked")
    ctx.emit(Answered(data))
  },
})

describe("a collector that", () => {
  const faults: CollectorFault[] = ["hangs", "refuses", "is slow", "is busy", "resets", "knows nothing"]
  test.each(faults)(
    "%s costs spans and log records, and nothing else",
    async (fault) => {
      const traced = await tracedTo(fault)
      const mesh = await startMesh({ agents: [answerer] }, { telemetry: traced.telemetry })
      closing.push(() => mesh.stop())
      const drafts = Array.from({ length: EVENTS }, (_, n) => Asked({ n }, { id: `o${n}` }))
      for await (const _ of mesh.bus.publishMany(drafts, { producer: "cli" }));
      const answers = await take(mesh.bus, "o.answered", EVENTS)
      expect(new Set(answers.map(({ causationid }) => causationid)).size).toBe(EVENTS)
      for (const signal of ["traces", "logs"]) {
        await until(`${signal} are lost and counted`, async () => (await traced.dropped(signal)) > 0)
      }
      const began = performance.now()
      await traced.shutdown()
      expect(performance.now() - began).toBeLessThan(SHUTDOWN_MS + 1_000)
      // of each signal its failure is told once, and it may be told that it goes again
      expect(traced.told().length).toBeLessThanOrEqual(6)
      const spans = 2 * EVENTS
      expect(await traced.dropped("traces")).toBeLessThanOrEqual(spans)
    },
    60_000,
  )

  test("babbles has taken what it was sent", async () => {
    const { telemetry, collector, dropped, shutdown, told } = await tracedTo("babbles")
    telemetry.tracing.start("x", { kind: "internal" }).end()
    await until("it is sent", () => collector.requests > 0)
    await shutdown()
    expect(await dropped("traces")).toBe(0)
    expect(told().length).toBeLessThanOrEqual(2)
  })

  test("comes back is used again, which is told with what was lost meanwhile", async () => {
    const traced = await tracedTo("is busy", { OTEL_LOGS_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none" })
    const span = (): void => traced.telemetry.tracing.start("x", { kind: "internal" }).end()
    span()
    await until("the loss is told", () => traced.told().length === 1)
    expect(traced.told()[0]).toMatchObject({ level: "warn", signal: "traces", lost: 1 })
    await traced.collector.mend()
    span()
    await until("the recovery is told", () => traced.told().length === 2)
    expect(traced.told()[1]).toMatchObject({ level: "info", msg: "traces are delivered again" })
    expect(traced.collector.taken).toBe(1)
  })

  test("hangs holds a bounded number of spans: all others are dropped, and counted", async () => {
    const traced = await tracedTo("hangs", {
      OTEL_BSP_MAX_QUEUE_SIZE: "2048",
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "512",
      OTEL_EXPORTER_OTLP_TIMEOUT: "60000",
      ...{ OTEL_LOGS_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none" },
    })
    const total = 100_000
    for (let n = 0; n < total; n++) {
      traced.telemetry.tracing.start("x", { kind: "internal" }).end()
      if (n % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    // one batch under way, and a full queue
    expect(await traced.dropped("traces")).toBe(total - 512 - 2_048)
    expect(traced.collector.requests).toBeLessThanOrEqual(1)
  })
})

test("a node that is told to end does so in time, with a collector that hangs", async () => {
  await buildCli()
  const collector = await startBadCollector("hangs")
  closing.push(() => collector.close())
  const mesh = await startMesh({})
  closing.push(() => mesh.stop())
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: "20" }
  const node = await startNodeProcess([FIXTURE, "--nats", mesh.server.url, "--mesh", "test", "--no-http"], { env })
  closing.push(() => node.kill9())
  const drafts = Array.from({ length: 50 }, (_, n) => Work({ key: `k${n % 5}`, n }))
  for await (const _ of mesh.bus.publishMany(drafts, { producer: "cli" }));
  await take(mesh.bus, "work.done", 50)
  await until("spans are under way", () => collector.requests > 0)
  const began = performance.now()
  expect(await node.terminate(), node.stderr()).toBe(0)
  expect(performance.now() - began).toBeLessThan(8_000) // two seconds for telemetry, and what ending takes anyway
}, 120_000)

test("a command ends in time although its spans go nowhere", async () => {
  await buildCli()
  const collector = await startBadCollector("hangs")
  closing.push(() => collector.close())
  const mesh = await startMesh({})
  closing.push(() => mesh.stop())
  const env = { NATS_URL: mesh.server.url, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }
  const ran = async (more: object): Promise<number> => {
    const began = performance.now()
    const result = await murmur(["publish", "o.asked", "--data", '{"n":1}', "--mesh", "test"], {
      env: { ...env, ...more },
    })
    expect(result, result.stderr).toMatchObject({ code: 0 })
    return performance.now() - began
  }
  const without = await ran({ OTEL_SDK_DISABLED: "true" })
  expect(collector.requests).toBe(0)
  expect((await ran({})) - without).toBeLessThan(6_000) // the exporter's own bound, and the start of the SDK
  expect(collector.requests).toBeGreaterThan(0)
}, 120_000)
