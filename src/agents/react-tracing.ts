import type { SealedEvent } from "../bus/encode.js"
import type { MurmurEvent } from "../bus/event.js"
import type { Span, Tracing } from "../telemetry/ports.js"
import type { ReactSession } from "./react-session.js"
import type { ClosingWindow } from "./windows/host.js"

/**
 * Delivers an event within a span. Outputs become children of it: a window's, of a span of their own below that of the
 * event that closed it.
 *
 * @returns what came out for the event itself
 */
export function deliverTraced(
  session: ReactSession,
  event: MurmurEvent,
  agent: string,
  tracing: Tracing,
): SealedEvent[] {
  if (!tracing.enabled) return session.deliver(event)
  const span = tracing.start(`process ${agent}`, {
    kind: "consumer",
    parent: event.trace,
    attributes: {
      "messaging.system": "nats",
      "messaging.operation.type": "process",
      "messaging.message.id": event.id,
      "messaging.message.conversation_id": event.correlationid,
      "murmur.agent": agent,
      "murmur.event.type": event.type,
      "murmur.event.key": event.key,
      "murmur.hops": event.hops,
    },
  })
  const outputs = span.run(() => session.deliver({ ...event, trace: span.context }))
  if (session.breakdown !== undefined) span.fail(session.breakdown.error)
  span.end()
  return outputs
}

/** Opens the span of a window that closes, linked to the spans of the events in it. */
export type OpenWindowSpan = (window: ClosingWindow, closedBy: MurmurEvent) => Span

/** @returns `undefined` when nobody traces */
export function windowSpans(agent: string, tracing: Tracing): OpenWindowSpan | undefined {
  if (!tracing.enabled) return undefined
  const name = `close_window ${agent}`
  return ({ start, end, size, traces }, { trace, key }) =>
    tracing.start(name, {
      kind: "internal",
      parent: trace,
      links: traces,
      attributes: {
        "murmur.agent": agent,
        "murmur.event.key": key,
        "murmur.window.start": new Date(start).toISOString(),
        "murmur.window.end": new Date(end).toISOString(),
        "murmur.window.events": size,
      },
    })
}
