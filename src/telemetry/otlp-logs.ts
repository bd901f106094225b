import { context } from "@opentelemetry/api"
import { type AnyValue, type AnyValueMap, SeverityNumber } from "@opentelemetry/api-logs"
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http"
import {
  BatchLogRecordProcessor,
  LoggerProvider,
  type LogRecordExporter,
  type LogRecordProcessor,
} from "@opentelemetry/sdk-logs"
import { Delivery, WaitingRoom } from "./delivery.js"
import type { ExportOptions, OpenExport } from "./export-options.js"
import type { LineForward } from "./log.js"
import { resourceOf } from "./resource.js"
import { batchOptions } from "./variables.js"

/**
 * Log lines by OTLP/HTTP, beside standard error and not instead of it. They come here after level and redactor, so what
 * is not on a line of the console is not sent either. Loads the SDK: import it only when logs are sent.
 */

const SEVERITIES = {
  debug: SeverityNumber.DEBUG,
  info: SeverityNumber.INFO,
  warn: SeverityNumber.WARN,
  error: SeverityNumber.ERROR,
} as const

export interface OpenLogExport extends OpenExport {
  readonly forward: LineForward
}

/** Starts sending log lines; each carries the ids of the span that is active where it is written. */
export function startLogExport(options: ExportOptions): OpenLogExport {
  const provider = new LoggerProvider({ resource: resourceOf(options), processors: [boundedBatches(options)] })
  const logger = provider.getLogger("murmur", options.version)
  return {
    forward: (level, fields, message) =>
      logger.emit({
        severityNumber: SEVERITIES[level],
        severityText: level.toUpperCase(),
        body: message,
        attributes: attributesOf(fields),
        context: context.active(),
      }),
    shutdown: () => provider.shutdown(),
  }
}

function boundedBatches({ env, log, metrics }: ExportOptions): LogRecordProcessor {
  const delivery = new Delivery("logs", { log, metrics })
  const batches = batchOptions(env, "BLRP")
  const room = new WaitingRoom(batches.maxQueueSize, delivery)
  const otlp = new OTLPLogExporter()
  const exporter: LogRecordExporter = {
    export: (records, done) => {
      room.leave(records.length)
      otlp.export(records, delivery.ending(records.length, done))
    },
    forceFlush: () => otlp.forceFlush(),
    shutdown: () => otlp.shutdown(),
  }
  const inner = new BatchLogRecordProcessor({ exporter, ...batches })
  return {
    onEmit: (record) => {
      if (room.enter()) inner.onEmit(record)
    },
    forceFlush: () => inner.forceFlush(),
    shutdown: () => inner.shutdown(),
  }
}

/** The fields of a line; an error among them by the names that the conventions give its parts. */
function attributesOf(fields: unknown): AnyValueMap {
  const attributes: AnyValueMap = {}
  for (const [name, value] of Object.entries(fields ?? {})) {
    if ((name === "error" || name === "err") && typeof value === "object" && value !== null) {
      Object.assign(attributes, errorAttributes(value as Record<string, AnyValue>))
    } else attributes[name] = value as AnyValue
  }
  return attributes
}

function errorAttributes({ type, message, stack, code, ...more }: Record<string, AnyValue>): AnyValueMap {
  return {
    "exception.type": type,
    "exception.message": message,
    "exception.stacktrace": stack,
    "error.type": code ?? type,
    ...(Object.keys(more).length > 0 && { error: more }),
  }
}
