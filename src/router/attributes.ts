import { pathAttribute } from "../bus/causal-path.js"
import type { MurmurEvent } from "../bus/event.js"

/** Reads one attribute as text; `undefined` when the event does not have it. */
export type AttributeReader = (event: MurmurEvent) => string | undefined

const READERS: Readonly<Record<string, AttributeReader>> = {
  id: (event) => event.id,
  source: (event) => event.source,
  type: (event) => event.type,
  subject: (event) => event.key,
  time: (event) => event.time,
  producer: (event) => event.producer,
  trust: (event) => event.trust,
  correlationid: (event) => event.correlationid,
  causationid: (event) => event.causationid,
  hops: (event) => String(event.hops),
  causalpath: (event) => pathAttribute(event.path),
}

const NAME = /^[a-z0-9]{1,64}$/

/** Names that look like attributes and are none that a filter may look at, with what to do instead. */
const REFUSED: Readonly<Record<string, string>> = {
  data: 'the payload is asked with {"data": {...}}',
  key: 'the key is the CloudEvents attribute "subject"',
  seq: "the sequence belongs to the stream, not to the event",
  specversion: 'it is always "1.0"',
  traceparent: "the trace context belongs to one hop",
  tracestate: "the trace context belongs to one hop",
}

/** Why a filter may not look at an attribute of this name; `undefined` when it may. */
export function attributeProblem(name: string): string | undefined {
  if (Object.hasOwn(REFUSED, name)) return REFUSED[name]
  return NAME.test(name) ? undefined : "attribute names are made of a-z and 0-9, at most 64"
}

/** How to read the attribute: one of the envelope, else an extension. Numbers and booleans read as their text. */
export function attributeReader(name: string): AttributeReader {
  const own = Object.hasOwn(READERS, name) ? READERS[name] : undefined
  return own ?? ((event) => extension(event, name))
}

function extension(event: MurmurEvent, name: string): string | undefined {
  if (!Object.hasOwn(event.extensions, name)) return undefined
  const value = event.extensions[name]
  return value === undefined ? undefined : String(value)
}
