import {
  type Context,
  context as contextApi,
  type Link,
  type Span as OtelSpan,
  SpanKind as OtelSpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api"
import type { TraceContext } from "../bus/event.js"
import { errorCode } from "../errors.js"
import type { Attributes, Span, SpanKind, SpanOptions, Tracing } from "./ports.js"
import { toSpanContext, toTraceContext } from "./span-context.js"

const KINDS: Readonly<Record<SpanKind, OtelSpanKind>> = {
  producer: OtelSpanKind.PRODUCER,
  consumer: OtelSpanKind.CONSUMER,
  client: OtelSpanKind.CLIENT,
  server: OtelSpanKind.SERVER,
  internal: OtelSpanKind.INTERNAL,
}

/** The tracing port over a tracer of OpenTelemetry. */
export class OtelTracing implements Tracing {
  readonly enabled = true
  readonly #tracer: Tracer

  constructor(tracer: Tracer) {
    this.#tracer = tracer
  }

  start(name: string, options: SpanOptions): Span {
    const active = contextApi.active()
    const parent = options.parent === undefined ? undefined : toSpanContext(options.parent)
    const under = parent === undefined ? active : trace.setSpanContext(active, parent)
    const span = this.#tracer.startSpan(
      name,
      {
        kind: KINDS[options.kind],
        ...(options.attributes === undefined ? {} : { attributes: present(options.attributes) }),
        ...(options.links === undefined ? {} : { links: linksTo(options.links) }),
      },
      under,
    )
    return new OpenSpan(span, under)
  }
}

class OpenSpan implements Span {
  readonly #span: OtelSpan
  readonly #under: Context
  #context: TraceContext | undefined

  constructor(span: OtelSpan, under: Context) {
    this.#span = span
    this.#under = under
  }

  /** Formatted when somebody sends something, and once. */
  get context(): TraceContext {
    this.#context ??= toTraceContext(this.#span.spanContext())
    return this.#context
  }

  set(attributes: Attributes): void {
    this.#span.setAttributes(present(attributes))
  }

  link(to: TraceContext): void {
    this.#span.addLinks(linksTo([to]))
  }

  fail(error: Error): void {
    const code = errorCode(error)
    this.#span.recordException(error)
    this.#span.setAttribute("error.type", code === "ERROR" ? error.name : code)
    this.#span.setStatus({ code: SpanStatusCode.ERROR, message: error.message })
  }

  end(): void {
    this.#span.end()
  }

  run<T>(work: () => T): T {
    return contextApi.with(trace.setSpan(this.#under, this.#span), work)
  }
}

function present(attributes: Attributes): Record<string, string | number | boolean> {
  const set: Record<string, string | number | boolean> = {}
  for (const name in attributes) {
    const value = attributes[name]
    if (value !== undefined) set[name] = value
  }
  return set
}

function linksTo(contexts: readonly TraceContext[]): Link[] {
  return contexts.flatMap((context) => toSpanContext(context) ?? []).map((context) => ({ context }))
}

/** The ids of the active span, for log lines. */
export function activeSpanIds(): { trace_id: string; span_id: string } | undefined {
  const span = trace.getSpanContext(contextApi.active())
  return span && { trace_id: span.traceId, span_id: span.spanId }
}
