import type { Attributes } from "@opentelemetry/api"
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base"
import { isSecretKey, REDACTED, type Redactor } from "./redact.js"

/**
 * Redacts spans on their way out, those of users' own instrumentation too. Here, behind the batch, it costs the hot path
 * nothing.
 */
export function redacting(exporter: SpanExporter, redactor: Redactor): SpanExporter {
  return {
    export: (spans, done) =>
      exporter.export(
        spans.map((span) => redacted(span, redactor)),
        done,
      ),
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  }
}

/** A view of the span: all else (ids, times, resource) is the span's own. */
function redacted(span: ReadableSpan, redactor: Redactor): ReadableSpan {
  const { message } = span.status
  return Object.create(span, {
    name: { value: redactor.text(span.name) },
    attributes: { value: redactedAttributes(span.attributes, redactor) },
    status: { value: message === undefined ? span.status : { ...span.status, message: redactor.text(message) } },
    events: {
      value: span.events.map((event) => ({
        ...event,
        ...(event.attributes && { attributes: redactedAttributes(event.attributes, redactor) }),
      })),
    },
  }) as ReadableSpan
}

function redactedAttributes(attributes: Attributes, redactor: Redactor): Attributes {
  const clean: Attributes = {}
  for (const [name, value] of Object.entries(attributes)) clean[name] = redactedValue(name, value, redactor)
  return clean
}

function redactedValue(name: string, value: Attributes[string], redactor: Redactor): Attributes[string] {
  if (isSecretKey(name)) return REDACTED
  if (typeof value === "string") return redactor.text(value)
  if (Array.isArray(value)) {
    return value.map((item) => (typeof item === "string" ? redactor.text(item) : item)) as string[]
  }
  return value
}
