import type { HttpBindings } from "@hono/node-server"
import type { TraceContext } from "../bus/event.js"
import type { PublishAck } from "../bus/publisher.js"
import type { Span } from "../telemetry/ports.js"
import { callersBaggage, withBaggage } from "./baggage.js"
import { readBody } from "./body.js"
import { at, type ContentMode, modeOf, readEvents } from "./cloudevents.js"
import { within } from "./deadline.js"
import type { IncomingEvent } from "./event-attributes.js"
import type { HttpNode } from "./node.js"
import { problemOf } from "./problem.js"
import type { TokenBucket } from "./rate-limit.js"

/** What `POST /events` is given. */
export interface IntakeOptions {
  readonly guard: (headers: Headers) => void
  readonly bucket: TokenBucket
  readonly bodyBytesMax: number
  readonly answerTimeoutMs: number
}

/**
 * Takes events by the CloudEvents HTTP binding: binary, structured, batch. Answers 202 when JetStream has stored them
 * (agents react later), with `{ id, seq, type, key }`, for a batch an array in its order. A batch is checked as a whole
 * before anything is stored; then it is stored in order, and stops at the first failure: the answer names the `index`
 * and lists what was `stored` before it.
 */
export function intake(node: HttpNode, options: IntakeOptions) {
  return async (request: Request, { incoming }: HttpBindings, span: Span | undefined): Promise<Response> => {
    options.guard(request.headers)
    options.bucket.take()
    const mode = modeOf(request.headers)
    const body = await readBody(incoming, options.bodyBytesMax)
    const events = readEvents(mode, request.headers, body)
    if (events.length > 1) options.bucket.owe(events.length - 1)
    const from = { span, baggage: callersBaggage(request.headers), timeoutMs: options.answerTimeoutMs }
    const acks = await publishAll(node, events, mode, from)
    return Response.json(mode === "batch" ? acks : acks[0], { status: 202 })
  }
}

async function publishAll(
  node: HttpNode,
  events: IncomingEvent[],
  mode: ContentMode,
  from: { span: Span | undefined; baggage: string | undefined; timeoutMs: number },
): Promise<unknown[]> {
  const stored: unknown[] = []
  const endsAt = performance.now() + from.timeoutMs
  for (const [index, event] of events.entries()) {
    try {
      const timeoutMs = Math.max(1, Math.ceil(endsAt - performance.now()))
      const trace = parentOf(event.trace, from.span)
      const publishing = node.publish(withBaggage(event.draft, from.baggage), {
        producer: "http",
        trust: "external",
        timeoutMs,
        ...(trace && { trace }),
      })
      stored.push(told(await within(timeoutMs, publishing)))
    } catch (error) {
      const problem = problemOf(error)
      throw mode === "batch" ? at(index, problem, { stored }) : problem
    }
  }
  return stored
}

/**
 * The request's span stands below the caller's; an event that carries another trace of its own belongs to that one, and
 * the request is linked to it.
 */
function parentOf(own: TraceContext | undefined, request: Span | undefined): TraceContext | undefined {
  const { context } = request ?? {}
  if (own === undefined || context === undefined) return own ?? context
  if (traceId(own) === traceId(context)) return context
  request?.link(own)
  return own
}

const traceId = ({ traceparent }: TraceContext): string => traceparent.slice(3, 35)

const told = ({ id, seq, type, key, duplicate }: PublishAck): object => ({
  id,
  seq,
  type,
  key: key ?? null,
  ...(duplicate && { duplicate }),
})
