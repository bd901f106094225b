import { z } from "zod"
import { ensureError, MurmurError } from "../errors.js"
import { BAGGAGE } from "./baggage.js"
import { ROOT_PATH, readPath } from "./causal-path.js"
import type { MurmurEvent, TraceContext } from "./event.js"
import { encodeKey, type MeshNames, type SubjectParts } from "./subjects.js"

/** A message as it lies in the EVENTS stream. */
export interface StoredMessage {
  readonly subject: string
  readonly data: Uint8Array
  readonly seq: number
  /** When the server stored it. */
  readonly time: Date
  header(name: string): string | undefined
  headerNames(): Iterable<string>
}

/** Why a message is no event. It goes to the dead letters with this, never to a handler. */
export interface Undecodable {
  readonly ok: false
  readonly code: "EVENT_JSON" | "EVENT_ENVELOPE"
  readonly message: string
  readonly issues: readonly { path: string; message: string }[]
  /** What the subject and the store know about it. */
  readonly partial: Pick<MurmurEvent, "id" | "type" | "key" | "producer" | "seq" | "time">
}

export type Decoded = { readonly ok: true; readonly event: MurmurEvent } | Undecodable

const attribute = z.union([z.string(), z.number(), z.boolean()])
const timestamp = z.string().refine((text) => !Number.isNaN(Date.parse(text)), "must be an RFC 3339 time")

/** The CloudEvents 1.0 envelope with murmur's extensions. Everything else in it is kept as an extension. */
const Envelope = z
  .object({
    specversion: z.literal("1.0"),
    id: z.string().min(1),
    source: z.string().min(1),
    type: z.string().min(1),
    subject: z.string().optional(),
    time: timestamp.optional(),
    datacontenttype: z.string().optional(),
    dataschema: z.string().optional(),
    data: z.unknown().optional(),
    data_base64: z.string().optional(),
    correlationid: z.string().min(1).optional(),
    causationid: z.string().min(1).optional(),
    hops: z
      .union([
        z.int().min(0),
        z
          .string()
          .regex(/^\d{1,9}$/)
          .transform(Number),
      ])
      .optional(),
    causalpath: z.unknown().optional(),
    trust: z.enum(["internal", "external"]).optional(),
    traceparent: z.string().optional(),
    tracestate: z.string().optional(),
  })
  .catchall(attribute)

type Envelope = z.infer<typeof Envelope>

const OWN_ATTRIBUTES = new Set(Object.keys(Envelope.shape))

const isText = (value: unknown): boolean => typeof value === "string"
const isFilled = (value: unknown): boolean => typeof value === "string" && value !== ""

/** The same as the schema, for the attributes that murmur itself writes and as it writes them; baggage is an extension. */
const PLAIN: ReadonlyMap<string, (value: unknown) => boolean> = new Map([
  ["specversion", (value) => value === "1.0"],
  ["id", isFilled],
  ["source", isFilled],
  ["type", isFilled],
  ["subject", isText],
  ["time", (value) => typeof value === "string" && !Number.isNaN(Date.parse(value))],
  ["datacontenttype", isText],
  ["data", () => true],
  ["correlationid", isFilled],
  ["causationid", isFilled],
  ["hops", (value) => Number.isSafeInteger(value) && (value as number) >= 0],
  ["causalpath", () => true],
  ["trust", (value) => value === "internal" || value === "external"],
  ["traceparent", isText],
  ["tracestate", isText],
  [BAGGAGE, isText],
])

/** Says yes to a good envelope without the schema's cost for each event. Whatever it does not know is left to the schema. */
function isPlain(found: unknown): found is Envelope {
  if (typeof found !== "object" || found === null) return false
  for (const name in found) if (PLAIN.get(name)?.((found as Envelope)[name]) !== true) return false
  return "specversion" in found && "id" in found && "source" in found && "type" in found
}

/**
 * Reads one stored message: structured mode (the whole event in the payload), binary mode (`ce-*` headers), or a raw
 * message with no envelope, for which the subject, the sequence and the store supply type, key, producer, id and time.
 */
export function decode(names: MeshNames, message: StoredMessage): Decoded {
  let parts: SubjectParts
  try {
    parts = names.parseStored(message.subject)
  } catch (error) {
    parts = { producer: "unknown", key: undefined, type: "unknown" }
    return undecodable(names, message, parts, "EVENT_ENVELOPE", ensureError(error).message)
  }
  try {
    const envelope = readEnvelope(message)
    if (envelope === undefined) return { ok: true, event: rawEvent(names, message, parts) }
    const checked = isPlain(envelope) ? { success: true as const, data: envelope } : Envelope.safeParse(envelope)
    if (!checked.success) {
      const issues = checked.error.issues.map(({ path, message }) => ({ path: path.join("."), message }))
      return undecodable(names, message, parts, "EVENT_ENVELOPE", "the envelope is not a CloudEvents 1.0 event", issues)
    }
    const mismatch = contradiction(checked.data, message.subject, parts)
    if (mismatch !== undefined) return undecodable(names, message, parts, "EVENT_ENVELOPE", mismatch)
    return { ok: true, event: envelopeEvent(checked.data, message, parts) }
  } catch (error) {
    return undecodable(names, message, parts, "EVENT_JSON", ensureError(error).message)
  }
}

/** The id that a message without an envelope has: unique for ever within the mesh. */
export function rawId(names: MeshNames, seq: number): string {
  return `${names.events}:${seq}`
}

function undecodable(
  names: MeshNames,
  message: StoredMessage,
  parts: SubjectParts,
  code: Undecodable["code"],
  why: string,
  issues: Undecodable["issues"] = [{ path: "", message: why }],
): Undecodable {
  const partial = { id: rawId(names, message.seq), seq: message.seq, time: message.time.toISOString(), ...parts }
  return { ok: false, code, message: why, issues, partial }
}

const text = new TextDecoder("utf-8", { fatal: true })

/** The envelope as found, unchecked; `undefined` when there is none. */
function readEnvelope(message: StoredMessage): unknown {
  if (looksStructured(message.data)) return parseJson(message.data)
  const contentType = message.header("content-type") ?? ""
  if (contentType.startsWith("application/cloudevents")) return parseJson(message.data)
  if (message.header("ce-specversion") === undefined) return undefined
  return binaryEnvelope(message, contentType)
}

const STRUCTURED_START = Buffer.from('{"specversion":')

/** A plain `nats pub` of a CloudEvent has no header; what begins like one is read as one. It also spares the hot path its headers. */
function looksStructured(data: Uint8Array): boolean {
  for (let at = 0; at < STRUCTURED_START.length; at++) if (data[at] !== STRUCTURED_START[at]) return false
  return true
}

function binaryEnvelope(message: StoredMessage, contentType: string): Record<string, unknown> {
  const envelope: Record<string, unknown> = { data: readData(message.data, contentType) }
  if (contentType !== "") envelope.datacontenttype = contentType
  for (const name of message.headerNames()) {
    const lower = name.toLowerCase()
    if (lower.startsWith("ce-") && !NOT_IN_HEADERS.has(lower)) {
      envelope[lower.slice(3)] = decodePercent(message.header(name) ?? "")
    }
  }
  for (const name of ["traceparent", "tracestate", BAGGAGE]) {
    const value = message.header(name)
    if (value !== undefined) envelope[name] ??= value
  }
  return envelope
}

/** In binary mode the payload is the data and `content-type` says what it is; a header cannot put others in their place. */
const NOT_IN_HEADERS = new Set(["ce-data", "ce-data_base64", "ce-datacontenttype"])

function decodePercent(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

function readData(data: Uint8Array, contentType: string): unknown {
  if (data.length === 0) return null
  if (contentType === "" || /[/+]json\b/.test(contentType)) return parseJson(data)
  return contentType.startsWith("text/") ? text.decode(data) : Buffer.from(data).toString("base64")
}

function parseJson(data: Uint8Array): unknown {
  return JSON.parse(text.decode(data))
}

/** The subject is what the server enforces, so a body that says otherwise is refused rather than believed. */
function contradiction(envelope: Envelope, subject: string, parts: SubjectParts): string | undefined {
  if (envelope.type !== parts.type) {
    return `the envelope says type "${envelope.type}", the subject says "${parts.type}"`
  }
  if (envelope.subject === undefined || envelope.subject === parts.key) return undefined
  const keyToken = subject.split(".", 6)[5] ?? ""
  if (encodeKey(envelope.subject) !== keyToken) {
    return `the envelope says key "${envelope.subject}", the subject says "${keyToken}"`
  }
  return undefined
}

function envelopeEvent(envelope: Envelope, message: StoredMessage, parts: SubjectParts): MurmurEvent {
  return {
    id: envelope.id,
    source: envelope.source,
    type: parts.type,
    time: envelope.time ?? message.time.toISOString(),
    key: envelope.subject ?? parts.key,
    data: envelope.data ?? base64Data(envelope) ?? null,
    producer: parts.producer,
    seq: message.seq,
    correlationid: envelope.correlationid ?? envelope.id,
    causationid: envelope.causationid,
    hops: envelope.hops ?? 0,
    path: readPath(envelope.causalpath),
    trust: envelope.trust ?? "external",
    trace: traceOf(envelope.traceparent, envelope.tracestate),
    extensions: extensionsOf(envelope),
  }
}

/** Binary data stays base64, as everywhere; text and JSON are read. */
function base64Data({ data_base64: data, datacontenttype }: Envelope): unknown {
  if (data === undefined || datacontenttype === undefined) return data
  return readData(Buffer.from(data, "base64"), datacontenttype)
}

function rawEvent(names: MeshNames, message: StoredMessage, parts: SubjectParts): MurmurEvent {
  const id = rawId(names, message.seq)
  const baggage = message.header(BAGGAGE)
  return {
    id,
    source: `/murmur/${names.mesh}/${parts.producer}`,
    type: parts.type,
    time: message.time.toISOString(),
    key: parts.key,
    data: readData(message.data, message.header("content-type") ?? ""),
    producer: parts.producer,
    seq: message.seq,
    correlationid: id,
    causationid: undefined,
    hops: 0,
    path: ROOT_PATH,
    trust: "external",
    trace: traceOf(message.header("traceparent"), message.header("tracestate")),
    extensions: baggage ? { [BAGGAGE]: baggage } : {},
  }
}

function traceOf(traceparent: string | undefined, tracestate: string | undefined): TraceContext | undefined {
  if (traceparent === undefined) return undefined
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate }
}

function extensionsOf(envelope: Envelope): MurmurEvent["extensions"] {
  let extensions: Record<string, string | number | boolean> | undefined
  for (const name in envelope) {
    if (OWN_ATTRIBUTES.has(name)) continue
    extensions ??= {}
    extensions[name] = envelope[name] as string | number | boolean
  }
  return extensions ?? {}
}

/** An undecodable message as an error, for places that have no dead letters. */
export function undecodableError(failure: Undecodable): MurmurError {
  return new MurmurError(`Cannot read event ${failure.partial.id}: ${failure.message}`, {
    code: failure.code,
    details: { issues: failure.issues },
  })
}
