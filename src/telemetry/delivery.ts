import { type ExportResult, ExportResultCode } from "@opentelemetry/core"
import type { Log, Metrics } from "./ports.js"

const SAY_MS_MIN = 60_000
const SAY_MS_MAX = 3_600_000
const REASON_CHARS_MAX = 300

/** Who is told how it goes. */
export interface DeliveryPorts {
  readonly log: Log
  readonly metrics: Metrics
}

/**
 * How the delivery of one signal goes. What is lost is counted in `murmur.telemetry.dropped`. The log is told when a
 * collector begins to fail, then less and less often (after a minute, two, four, at last each hour), and when it takes
 * something again: an outage of a month is some 700 lines.
 */
export class Delivery {
  #failing = false
  #told = false
  #lost = 0
  #sayAt = 0
  #sayMs = SAY_MS_MIN

  constructor(
    private readonly signal: "traces" | "metrics" | "logs",
    private readonly ports: DeliveryPorts,
    private readonly now: () => number = Date.now,
  ) {}

  /** The queue is full: one item is dropped. */
  overflowed(): void {
    this.#count(1, "queue_full")
  }

  delivered(): void {
    this.#failing = false
    if (!this.#told) return
    this.#told = false
    this.#say("info", `${this.signal} are delivered again`, {})
  }

  /** @param lost how many items were in what could not be sent */
  failed(lost: number, error: unknown): void {
    this.#count(lost, "export_failed")
    const now = this.now()
    if (!this.#failing && now >= this.#sayAt) this.#sayMs = SAY_MS_MIN
    this.#failing = true
    if (now < this.#sayAt) return
    this.#sayAt = now + this.#sayMs
    this.#sayMs = Math.min(SAY_MS_MAX, this.#sayMs * 2)
    this.#told = true
    this.#say("warn", `cannot send ${this.signal}: what the collector does not take is lost`, whyOf(error, this.signal))
  }

  /** What the SDK is to call when an export has ended. It is always told that all is well: it would log each failure. */
  ending(items: number, done: (result: ExportResult) => void): (result: ExportResult) => void {
    return (result) => {
      if (result.code === ExportResultCode.SUCCESS) this.delivered()
      else this.failed(items, result.error)
      done({ code: ExportResultCode.SUCCESS })
    }
  }

  #count(items: number, reason: string): void {
    this.#lost += items
    this.ports.metrics.count("murmur.telemetry.dropped", items, { signal: this.signal, reason })
  }

  #say(level: "info" | "warn", message: string, fields: object): void {
    const lost = this.signal === "metrics" ? {} : { lost: this.#lost }
    this.#lost = 0
    this.ports.log[level]({ signal: this.signal, ...lost, ...fields }, message)
  }
}

function whyOf(thrown: unknown, signal: string): object {
  const { message = String(thrown), code } = (thrown ?? {}) as { message?: string; code?: unknown }
  const reason = message.slice(0, REASON_CHARS_MAX)
  if (code !== 404) return { reason, ...(code !== undefined && { code }) }
  return { reason, code, fix: `a collector that takes no ${signal}: set OTEL_${signal.toUpperCase()}_EXPORTER=none` }
}

/** A bound on what waits to be sent. The SDK's queues have the same bound, but do not tell what they drop. */
export class WaitingRoom {
  #waiting = 0

  constructor(
    private readonly max: number,
    private readonly delivery: Delivery,
  ) {}

  /** @returns whether there is room for one more; if not, it is counted as lost */
  enter(): boolean {
    if (this.#waiting >= this.max) {
      this.delivery.overflowed()
      return false
    }
    this.#waiting += 1
    return true
  }

  leave(items: number): void {
    this.#waiting -= items
  }
}
