import { createTraceState, type SpanContext } from "@opentelemetry/api"
import type { TraceContext } from "../bus/event.js"
import { isTraceparent } from "./ports.js"

/** The W3C form as OpenTelemetry's; `undefined` when it is malformed, which by the specification starts a new trace. */
export function toSpanContext(context: TraceContext): SpanContext | undefined {
  const { traceparent, tracestate } = context
  if (!isTraceparent(traceparent)) return undefined
  const parsed: SpanContext = {
    traceId: traceparent.slice(3, 35),
    spanId: traceparent.slice(36, 52),
    traceFlags: Number.parseInt(traceparent.slice(53, 55), 16),
    isRemote: true,
  }
  if (tracestate) parsed.traceState = createTraceState(tracestate)
  return parsed
}

/** OpenTelemetry's form as the W3C one, which travels with events. */
export function toTraceContext(context: SpanContext): TraceContext {
  const flags = (context.traceFlags & 0xff).toString(16).padStart(2, "0")
  const traceparent = `00-${context.traceId}-${context.spanId}-${flags}`
  const tracestate = context.traceState?.serialize()
  return tracestate ? { traceparent, tracestate } : { traceparent }
}
