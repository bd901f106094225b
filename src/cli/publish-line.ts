import type { EventDraft } from "../bus/event.js"
import { inputError, type Line } from "./lines.js"

/** What the command line says about all lines. */
export interface LineDefaults {
  readonly type: string
  /** For lines that bring no key of their own. */
  readonly key: string | undefined
  /** Every line is data, whatever its members are called. */
  readonly asData: boolean
}

const ENVELOPE = ["data", "key", "id", "time"]
/** What the bus decides for each publish; a copy of a stored event does not bring it along. */
const PROVENANCE = [
  "specversion",
  "id",
  "source",
  "type",
  "subject",
  "time",
  "datacontenttype",
  "data",
  "producer",
  "seq",
  "correlationid",
  "causationid",
  "hops",
  "causalpath",
  "trust",
  "traceparent",
  "tracestate",
]

type Json = Record<string, unknown>

/**
 * One line of NDJSON as an event. Three forms:
 *
 * - an object with `specversion`: a CloudEvent, as `murmur tail --json` prints it. Its id, source, key (`subject`), time
 *   and extensions are kept; its type must be the one on the command line;
 * - an object with `data`, and besides that only `key`, `id` and `time`: an event without its envelope;
 * - anything else: the data itself.
 *
 * @throws MurmurError `INPUT_LINE` with the line's number
 */
export function draftOfLine(line: Line, defaults: LineDefaults): EventDraft {
  const value = parse(line)
  const plain = { type: defaults.type, key: defaults.key, data: value }
  if (defaults.asData || typeof value !== "object" || value === null || Array.isArray(value)) return plain
  const object = value as Json
  if (object.specversion !== undefined) return fromCloudEvent(line, object, defaults)
  const isEnvelope = "data" in object && Object.keys(object).every((name) => ENVELOPE.includes(name))
  if (!isEnvelope) return plain
  return {
    type: defaults.type,
    data: object.data,
    key: text(line, object, "key") ?? defaults.key,
    id: text(line, object, "id"),
    time: time(line, object),
  }
}

function parse(line: Line): unknown {
  try {
    return JSON.parse(line.text)
  } catch (error) {
    throw inputError(line.number, `it is not JSON (${(error as Error).message})`)
  }
}

function fromCloudEvent(line: Line, event: Json, defaults: LineDefaults): EventDraft {
  if (event.specversion !== "1.0") throw inputError(line.number, 'specversion must be "1.0"')
  if (event.type !== defaults.type) {
    throw inputError(line.number, `its type is ${JSON.stringify(event.type)}, the command says "${defaults.type}"`)
  }
  if ("data_base64" in event) throw inputError(line.number, "data_base64 is not supported; give data as JSON")
  return {
    type: defaults.type,
    data: event.data ?? null,
    key: text(line, event, "subject") ?? defaults.key,
    id: text(line, event, "id"),
    time: time(line, event),
    source: text(line, event, "source"),
    extensions: extensions(line, event),
  }
}

function extensions(line: Line, event: Json): Record<string, string | number | boolean> {
  const found: Record<string, string | number | boolean> = {}
  for (const [name, value] of Object.entries(event)) {
    if (PROVENANCE.includes(name)) continue
    if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") {
      throw inputError(line.number, `the attribute "${name}" must be a string, number or boolean`)
    }
    found[name] = value
  }
  return found
}

function text(line: Line, object: Json, name: string): string | undefined {
  const value = object[name]
  if (value === undefined || (value === null && name !== "id")) return undefined
  if (typeof value === "string" && (value !== "" || name === "key" || name === "subject")) return value
  throw inputError(line.number, `"${name}" must be a string that is not empty, is ${JSON.stringify(value)}`)
}

function time(line: Line, object: Json): string | undefined {
  const value = text(line, object, "time")
  if (value === undefined || !Number.isNaN(Date.parse(value))) return value
  throw inputError(line.number, `"time" must be an RFC 3339 time, is ${JSON.stringify(value)}`)
}
