import type { LineSink } from "./log.js"
import type { Log, Metrics } from "./ports.js"
import type { Redactor } from "./redact.js"
import type { ResourceOptions } from "./resource.js"
import type { Destination } from "./signals.js"

/** What the export of a signal is made with. */
export interface ExportOptions extends ResourceOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly to: readonly Destination[]
  readonly log: Log
  readonly metrics: Metrics
  readonly redactor: Redactor
  /** Where the lines of a console exporter go. */
  readonly sink: LineSink
}

/** An export that runs. */
export interface OpenExport {
  /** Sends what is left. */
  shutdown(): Promise<void>
}
