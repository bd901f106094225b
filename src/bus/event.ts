import { pathAttribute } from "./causal-path.js"

/** Where an event came from: `external` for all that a source brought in and all that descends from it. */
export type Trust = "internal" | "external"

/** W3C trace context as it travels with an event. */
export interface TraceContext {
  readonly traceparent: string
  readonly tracestate?: string
}

/**
 * One event as handlers and observers see it: a CloudEvents 1.0 record, decoded. The CloudEvents attribute `subject`
 * is called `key` here; "subject" always means the NATS subject.
 */
export interface MurmurEvent<T = unknown> {
  /** Unique for ever. Derived for outputs of agents, so a repeated step gives the same ids. */
  readonly id: string
  /** CloudEvents `source`, a URI reference. */
  readonly source: string
  readonly type: string
  /** When it happened, RFC 3339. */
  readonly time: string
  /** The entity that the event is about; it orders and partitions. */
  readonly key: string | undefined
  readonly data: T
  /** Who put it on the bus: the name of an agent, a source, or `cli`. Taken from the NATS subject, never from the body. */
  readonly producer: string
  /** Sequence in the EVENTS stream. */
  readonly seq: number
  /** Id of the root event of this causal tree; its own id at the root. */
  readonly correlationid: string
  /** Id of the event that caused this one. */
  readonly causationid: string | undefined
  /** Causal depth: 0 at the root. */
  readonly hops: number
  /** The agents that led to it, one a hop, oldest first; empty at the root. Of a longer path the newest 32. */
  readonly path: readonly string[]
  readonly trust: Trust
  readonly trace: TraceContext | undefined
  /** CloudEvents extension attributes that murmur does not know; kept as they came. */
  readonly extensions: Readonly<Record<string, string | number | boolean>>
}

/** An event on its way to the bus: what `defineEvent(...)(data)` returns. The bus adds the rest of the envelope. */
export interface EventDraft<T = unknown> {
  readonly type: string
  readonly data: T
  readonly key?: string | undefined
  /** Given ids make a publish idempotent: inside the dedup window the same id is stored once. Default: a fresh UUIDv7. */
  readonly id?: string | undefined
  /** RFC 3339; default now. */
  readonly time?: string | undefined
  readonly source?: string | undefined
  readonly extensions?: Readonly<Record<string, string | number | boolean>> | undefined
}

/** The CloudEvents 1.0 JSON format of an event, with murmur's extension attributes; what `murmur tail --json` prints. */
export interface CloudEventJson {
  specversion: "1.0"
  id: string
  source: string
  type: string
  subject?: string
  time: string
  datacontenttype?: string
  data: unknown
  correlationid: string
  causationid?: string
  hops: number
  /** Names of agents, joined by "/". */
  causalpath?: string
  trust: Trust
  traceparent?: string
  tracestate?: string
  [extension: string]: unknown
}

/** The event in the CloudEvents JSON format. Producer and sequence belong to the transport and are not part of it. */
export function toCloudEvent(event: Omit<MurmurEvent, "seq" | "producer">): CloudEventJson {
  const json: CloudEventJson = {
    specversion: "1.0",
    id: event.id,
    source: event.source,
    type: event.type,
    time: event.time,
    datacontenttype: "application/json",
    data: event.data,
    correlationid: event.correlationid,
    hops: event.hops,
    trust: event.trust,
  }
  if (event.key !== undefined) json.subject = event.key
  if (event.causationid !== undefined) json.causationid = event.causationid
  const path = pathAttribute(event.path)
  if (path !== undefined) json.causalpath = path
  if (event.trace !== undefined) {
    json.traceparent = event.trace.traceparent
    if (event.trace.tracestate !== undefined) json.tracestate = event.trace.tracestate
  }
  for (const name in event.extensions) json[name] ??= event.extensions[name]
  return json
}
