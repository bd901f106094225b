import type { TraceContext } from "../bus/event.js"
import { isTraceparent, type Span, type Telemetry } from "../telemetry/ports.js"

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])

/** A request while it is handled. */
export interface ObservedRequest {
  readonly span: Span | undefined
  /** @param error what made it fail on our side */
  end(status: number, error?: Error): void
}

/**
 * Times a request, and opens a server span when it brings events in (`traced`). Its parent is the caller's span, by the
 * `traceparent` header.
 */
export function observeRequest(
  { tracing, metrics }: Telemetry,
  request: Request,
  route: string,
  traced: boolean,
): ObservedRequest {
  const started = performance.now()
  const method = METHODS.has(request.method) ? request.method : "_OTHER"
  const span = traced
    ? tracing.start(`${method} ${route}`, {
        kind: "server",
        parent: callerOf(request.headers),
        attributes: { "http.request.method": method, "http.route": route },
      })
    : undefined
  return {
    span,
    end(status, error) {
      metrics.duration("http.server.request.duration", (performance.now() - started) / 1_000, {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": status,
      })
      span?.set({ "http.response.status_code": status })
      if (error !== undefined) span?.fail(error)
      span?.end()
    },
  }
}

function callerOf(headers: Headers): TraceContext | undefined {
  const traceparent = headers.get("traceparent")
  if (traceparent === null || !isTraceparent(traceparent)) return undefined
  const tracestate = headers.get("tracestate")
  return tracestate ? { traceparent, tracestate } : { traceparent }
}
