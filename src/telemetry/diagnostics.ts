import { DiagLogLevel, diag } from "@opentelemetry/api"
import type { Log } from "./ports.js"

const EVERY_MS = 60_000

/** OpenTelemetry's own complaints (a collector that is away) become a warning a minute at most. */
export function quietDiagnostics(log: Log): void {
  let nextAt = 0
  let suppressed = 0
  const say = (message: string): void => {
    suppressed++
    if (Date.now() < nextAt) return
    nextAt = Date.now() + EVERY_MS
    log.warn(
      { otel: message.slice(0, 500), messages: suppressed },
      "telemetry has trouble; spans or metrics may be lost",
    )
    suppressed = 0
  }
  const nothing = (): void => {}
  diag.setLogger(
    { error: say, warn: say, info: nothing, debug: nothing, verbose: nothing },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  )
}
