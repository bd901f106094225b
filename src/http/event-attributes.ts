import { BAGGAGE, BAGGAGE_CHARS_MAX } from "../bus/baggage.js"
import type { EventDraft, TraceContext } from "../bus/event.js"
import { isTraceparent } from "../telemetry/ports.js"
import { HttpProblem } from "./problem.js"

/** One event as it came, ready to be published. */
export interface IncomingEvent {
  readonly draft: EventDraft
  /** The trace that the event itself carries. */
  readonly trace: TraceContext | undefined
}

const ID_LENGTH_MAX = 512
const VALUE_LENGTH_MAX = 4_096
const EXTENSIONS_MAX = 64

const NAME = /^[a-z0-9]+$/
const URI_REFERENCE = /^[\w\-.~:/?#[\]@!$&'()*+,;=%]+$/
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i
// biome-ignore lint/suspicious/noControlCharactersInRegex: CloudEvents strings must not hold them
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

const CORE = ["specversion", "id", "source", "type", "subject", "time", "datacontenttype"]
const TRACE = ["traceparent", "tracestate"]
/** What the mesh says of an event, so an outsider's word does not count: a posted event is a root, and external. */
const OURS = ["correlationid", "causationid", "hops", "causalpath", "trust", "producer", "seq"]
const NOT_EXTENSIONS = new Set([...CORE, ...TRACE, ...OURS])

/**
 * Checks CloudEvents 1.0 context attributes and makes a draft of them. `subject` becomes the key. Extensions are kept,
 * as is `dataschema`; those that only the mesh may set are dropped.
 *
 * @throws HttpProblem 400 `CLOUDEVENT_MALFORMED`, 422 `EVENT_ATTRIBUTE`
 */
export function toIncoming(attributes: Readonly<Record<string, unknown>>, data: unknown): IncomingEvent {
  const { specversion } = attributes
  if (specversion !== "1.0") throw malformed("specversion", 'must be "1.0"', specversion)
  const id = required(attributes, "id", ID_LENGTH_MAX)
  const source = required(attributes, "source")
  if (!URI_REFERENCE.test(source)) throw malformed("source", "must be a URI reference", source)
  const type = required(attributes, "type")
  const key = optional(attributes, "subject")
  const time = optional(attributes, "time")
  if (time !== undefined && !(RFC3339.test(time) && !Number.isNaN(Date.parse(time)))) {
    throw malformed("time", "must be a time like 2026-01-31T12:00:00Z (RFC 3339)", time)
  }
  optional(attributes, "datacontenttype")
  const extensions = extensionsOf(attributes)
  return { draft: { type, data, id, source, key, time, extensions }, trace: traceOf(attributes) }
}

function required(attributes: Readonly<Record<string, unknown>>, name: string, lengthMax?: number): string {
  const value = optional(attributes, name, lengthMax)
  if (value === undefined) throw malformed(name, "is required", undefined)
  return value
}

/** A string attribute; `null` in JSON means that it is not there. */
function optional(
  attributes: Readonly<Record<string, unknown>>,
  name: string,
  lengthMax = VALUE_LENGTH_MAX,
): string | undefined {
  const value = attributes[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== "string" || value === "") throw malformed(name, "must be a text that is not empty", value)
  return checkText(name, value, lengthMax)
}

function checkText(name: string, value: string, lengthMax = VALUE_LENGTH_MAX): string {
  if (CONTROL.test(value) || /\p{Surrogate}/u.test(value))
    throw malformed(name, "must not hold control characters", value)
  if (value.length > lengthMax) {
    throw new HttpProblem(422, "EVENT_ATTRIBUTE", `The attribute "${name}" may have ${lengthMax} characters at most`)
  }
  return value
}

function extensionsOf(attributes: Readonly<Record<string, unknown>>): Record<string, string | number | boolean> {
  const extensions: Record<string, string | number | boolean> = {}
  for (const [name, value] of Object.entries(attributes)) {
    if (!NAME.test(name)) throw malformed(name, "is no attribute name: use a-z and 0-9 only", value)
    if (NOT_EXTENSIONS.has(name) || value === null || value === undefined) continue
    if (typeof value === "string") extensions[name] = checkText(name, value, lengthMaxOf(name))
    else if (typeof value === "boolean" || isInteger(value)) extensions[name] = value
    else throw malformed(name, "must be a text, an integer or a boolean", value)
  }
  if (Object.keys(extensions).length > EXTENSIONS_MAX) {
    throw new HttpProblem(422, "EVENT_ATTRIBUTE", `An event may have ${EXTENSIONS_MAX} extension attributes at most`)
  }
  return extensions
}

const lengthMaxOf = (name: string): number => (name === BAGGAGE ? BAGGAGE_CHARS_MAX : VALUE_LENGTH_MAX)

/** CloudEvents integers have 32 bits. */
const isInteger = (value: unknown): value is number => typeof value === "number" && (value | 0) === value

function traceOf({ traceparent, tracestate }: Readonly<Record<string, unknown>>): TraceContext | undefined {
  if (typeof traceparent !== "string" || !isTraceparent(traceparent)) return undefined
  return typeof tracestate === "string" && tracestate !== "" ? { traceparent, tracestate } : { traceparent }
}

/** The refusal of something that is no CloudEvent. */
export function malformed(what: string, wanted: string, found: unknown): HttpProblem {
  const shown = found === undefined ? "is missing" : `is ${(JSON.stringify(found) ?? "?").slice(0, 100)}`
  const message = `Not a CloudEvents 1.0 event: "${what.slice(0, 100)}" ${wanted}${wanted === "is required" ? "" : `, ${shown}`}`
  return new HttpProblem(400, "CLOUDEVENT_MALFORMED", message, { members: { attribute: what.slice(0, 100) } })
}
