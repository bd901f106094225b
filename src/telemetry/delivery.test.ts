import { ExportResultCode } from "@opentelemetry/core"
import { beforeEach, expect, it } from "vitest"
import { Delivery, WaitingRoom } from "./delivery.js"
import { MetricStore } from "./metric-store.js"
import { silentLog } from "./ports.js"

let now = 0
let lines: [level: string, fields: object, message: string][]
let metrics: MetricStore
beforeEach(() => {
  now = 0
  lines = []
  metrics = new MetricStore()
})

function delivery(signal: "traces" | "metrics" | "logs" = "traces"): Delivery {
  const at = (level: string) => (fields: object, message: string) => void lines.push([level, fields, message])
  return new Delivery(signal, { log: { ...silentLog, info: at("info"), warn: at("warn") }, metrics }, () => now)
}

const dropped = (): unknown => metrics.counters.get("murmur.telemetry.dropped")?.all

it("an outage of a month is told often at first, then each hour, and so is its end", () => {
  const traces = delivery()
  for (; now < 30 * 86_400_000; now += 30_000) traces.failed(10, new Error("connect ECONNREFUSED"))
  const outage = lines.length
  expect(outage).toBeGreaterThan(700)
  expect(outage).toBeLessThan(750)
  expect(lines[0]).toEqual([
    "warn",
    { signal: "traces", lost: 10, reason: "connect ECONNREFUSED" },
    "cannot send traces: what the collector does not take is lost",
  ])
  traces.delivered()
  traces.delivered()
  expect(lines.slice(outage).map(([level, , message]) => [level, message])).toEqual([
    ["info", "traces are delivered again"],
  ])
  const told = lines.reduce((sum, [, fields]) => sum + (fields as { lost: number }).lost, 0)
  expect(dropped()).toMatchObject([{ labels: { signal: "traces", reason: "export_failed" }, value: told }])
})

it("a collector that fails every other time fills no log", () => {
  const logs = delivery("logs")
  for (; now < 3_600_000; now += 1_000) {
    logs.failed(1, new Error("503"))
    logs.delivered()
  }
  expect(lines.length).toBeLessThanOrEqual(2 * 60)
})

it("a collector that does not take a signal at all is told with what to do", () => {
  delivery("logs").failed(1, Object.assign(new Error("Not Found"), { code: 404 }))
  expect(lines[0]?.[1]).toMatchObject({ code: 404, fix: expect.stringContaining("OTEL_LOGS_EXPORTER=none") })
})

it("the SDK is told that all is well, so that it logs nothing of its own", () => {
  const codes: number[] = []
  const traces = delivery()
  traces.ending(3, ({ code }) => codes.push(code))({ code: ExportResultCode.FAILED, error: new Error("no") })
  traces.ending(3, ({ code }) => codes.push(code))({ code: ExportResultCode.SUCCESS })
  expect(codes).toEqual([ExportResultCode.SUCCESS, ExportResultCode.SUCCESS])
  expect(lines.map(([, , message]) => message)).toEqual([
    "cannot send traces: what the collector does not take is lost",
    "traces are delivered again",
  ])
})

it("what finds no room is counted, and room is made by what leaves", () => {
  const room = new WaitingRoom(2, delivery())
  expect([room.enter(), room.enter(), room.enter()]).toEqual([true, true, false])
  room.leave(1)
  expect([room.enter(), room.enter()]).toEqual([true, false])
  expect(dropped()).toMatchObject([{ labels: { signal: "traces", reason: "queue_full" }, value: 2 }])
})
