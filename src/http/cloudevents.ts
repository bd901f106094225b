import { type IncomingEvent, malformed, toIncoming } from "./event-attributes.js"
import { HttpProblem } from "./problem.js"

/** The content modes of the CloudEvents HTTP binding. */
export type ContentMode = "binary" | "structured" | "batch"

/**
 * Tells from the headers how the events are packed, so that what cannot be read is refused before its body is.
 *
 * @throws HttpProblem 415 `MEDIA_TYPE`, 400 `CLOUDEVENT_MALFORMED` for JSON that is no CloudEvent
 */
export function modeOf(headers: Headers): ContentMode {
  const { type, charset } = mediaType(headers.get("content-type") ?? "")
  if (type === "application/cloudevents+json") return onlyUtf8(charset, "structured")
  if (type === "application/cloudevents-batch+json") return onlyUtf8(charset, "batch")
  if (type.startsWith("application/cloudevents")) throw unsupported(type)
  const isEvent = [...headers.keys()].some((name) => name.startsWith("ce-"))
  if (!isEvent && (type === "" || isJson(type))) {
    throw new HttpProblem(
      400,
      "CLOUDEVENT_MALFORMED",
      "Not a CloudEvents 1.0 event: send ce-specversion, ce-id, ce-source and ce-type as headers, or content-type application/cloudevents+json",
    )
  }
  if (type !== "" && !isJson(type) && !(isEvent && type.startsWith("text/"))) throw unsupported(type)
  return onlyUtf8(charset, "binary")
}

/**
 * Reads the events of a request.
 *
 * @throws HttpProblem 400 `CLOUDEVENT_MALFORMED` (with `index` in a batch), 415 `MEDIA_TYPE`, 422 `EVENT_ATTRIBUTE`
 */
export function readEvents(mode: ContentMode, headers: Headers, body: Uint8Array): IncomingEvent[] {
  if (mode === "binary") return [readBinary(headers, body)]
  const json = parseJson(body)
  if (mode === "structured") return [readStructured(json)]
  if (!Array.isArray(json)) throw malformed("batch", "must be a JSON array of events", json)
  return json.map((event, index) => {
    try {
      return readStructured(event)
    } catch (error) {
      throw error instanceof HttpProblem ? at(index, error) : error
    }
  })
}

/** The same problem, saying which event of a batch has it. */
export function at(index: number, problem: HttpProblem, more: Record<string, unknown> = {}): HttpProblem {
  return new HttpProblem(problem.status, problem.code, `Event ${index} of the batch: ${problem.message}`, {
    headers: problem.headers,
    members: { ...problem.members, index, ...more },
    cause: problem.cause,
  })
}

function readBinary(headers: Headers, body: Uint8Array): IncomingEvent {
  const attributes: Record<string, unknown> = {}
  for (const [name, value] of headers) {
    if (name.startsWith("ce-")) attributes[name.slice(3)] = decodeHeader(name, value)
  }
  return toIncoming(attributes, binaryData(mediaType(headers.get("content-type") ?? "").type, body))
}

function binaryData(type: string, body: Uint8Array): unknown {
  if (body.byteLength === 0) return null
  return type.startsWith("text/") ? decodeUtf8(body) : parseJson(body)
}

function readStructured(json: unknown): IncomingEvent {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw malformed("event", "must be a JSON object", json)
  }
  const { data, data_base64: encoded, ...attributes } = json as Record<string, unknown>
  if (encoded === undefined || encoded === null) return toIncoming(attributes, data ?? null)
  if (data !== undefined) throw malformed("data_base64", "cannot stand beside data", encoded)
  return toIncoming(attributes, base64Data(encoded, attributes.datacontenttype))
}

function base64Data(encoded: unknown, contentType: unknown): unknown {
  if (typeof encoded !== "string") throw malformed("data_base64", "must be a text", encoded)
  const { type } = mediaType(typeof contentType === "string" ? contentType : "")
  if (type !== "" && !isJson(type) && !type.startsWith("text/")) throw unsupported(type)
  return binaryData(type, Buffer.from(encoded, "base64"))
}

/** Header values are percent-encoded UTF-8, maybe in quotes. A `%` that starts no code stands for itself. */
function decodeHeader(name: string, value: string): string {
  const quoted = /^"(.*)"$/s.exec(value)?.[1]?.replace(/\\(.)/gs, "$1")
  const bytes = (quoted ?? value).replace(/%([0-9a-f]{2})/gi, (_code, hex) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  try {
    return UTF8.decode(Buffer.from(bytes, "latin1"))
  } catch {
    throw malformed(name, "must be percent-encoded UTF-8", value)
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false })

function decodeUtf8(body: Uint8Array): string {
  try {
    return UTF8.decode(body)
  } catch {
    throw new HttpProblem(400, "CLOUDEVENT_MALFORMED", "The body is not UTF-8")
  }
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(decodeUtf8(body))
  } catch (error) {
    if (error instanceof HttpProblem) throw error
    throw new HttpProblem(400, "CLOUDEVENT_MALFORMED", "The body is not JSON", { cause: error })
  }
}

const isJson = (type: string): boolean => type === "application/json" || type === "text/json" || type.endsWith("+json")

function mediaType(header: string): { type: string; charset: string } {
  const [type = "", ...parameters] = header.split(";").map((part) => part.trim().toLowerCase())
  const charset = parameters.find((parameter) => parameter.startsWith("charset="))?.slice("charset=".length)
  return { type, charset: charset?.replaceAll('"', "") ?? "utf-8" }
}

function onlyUtf8(charset: string, mode: ContentMode): ContentMode {
  if (charset === "utf-8" || charset === "utf8" || charset === "us-ascii") return mode
  throw unsupported(`charset ${charset}`)
}

const unsupported = (found: string): HttpProblem =>
  new HttpProblem(
    415,
    "MEDIA_TYPE",
    `Cannot read ${found.slice(0, 100)}: send application/cloudevents+json, application/cloudevents-batch+json, or JSON with ce-* headers`,
  )
