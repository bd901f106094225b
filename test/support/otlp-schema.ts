import { join } from "node:path"
import { Enum, type Field, Root, Type } from "protobufjs"

/** The signals of OTLP, and the message that each request carries. */
const REQUESTS = {
  "/v1/traces": "opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest",
  "/v1/metrics": "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest",
  "/v1/logs": "opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest",
} as const
export type OtlpPath = keyof typeof REQUESTS

const FOLDER = join(import.meta.dirname, "../fixtures/otlp-proto")
/** Bytes that OTLP/JSON writes as hex digits, unlike JSON of Protobuf; with how many there are. */
const HEX: Readonly<Record<string, number>> = { traceId: 16, spanId: 8, parentSpanId: 8 }
const INT_64 = new Set(["int64", "uint64", "sint64", "fixed64", "sfixed64"])
const INT_32: Readonly<Record<string, readonly [number, number]>> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  fixed32: [0, 2 ** 32 - 1],
}

/**
 * A strict reader of OTLP/JSON, by the protocol's own `.proto` files: a field that they do not know, a value of another
 * type, an id of another length, two of what excludes another are errors.
 */
export class OtlpSchema {
  readonly #root = new Root()

  constructor() {
    this.#root.resolvePath = (_origin, target) => join(FOLDER, target)
    this.#root.loadSync(
      ["trace", "metrics", "logs"].map((of) => `opentelemetry/proto/collector/${of}/v1/${of}_service.proto`),
    )
    this.#root.resolveAll()
  }

  /**
   * Reads a request, and sees whether it survives Protobuf's binary form.
   *
   * @returns what the binary form says
   * @throws Error that names the field
   */
  read(path: OtlpPath, json: unknown): Record<string, unknown> {
    const type = this.#root.lookupType(REQUESTS[path])
    const message = type.fromObject(readMessage(type, json, path))
    const wrong = type.verify(message)
    if (wrong !== null) throw new Error(`${path}: ${wrong}`)
    const again = type.decode(type.encode(message).finish())
    return type.toObject(again, { longs: String, enums: String, bytes: String, defaults: false })
  }
}

function readMessage(type: Type, json: unknown, at: string): Record<string, unknown> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new Error(`${at}: must be an object`)
  const message: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(json)) {
    const field = type.fields[name]
    if (field === undefined) throw new Error(`${at}.${name}: ${type.name} has no such field`)
    if (value === undefined || value === null) continue
    const others = field.partOf?.oneof.filter((other) => other !== name && other in json) ?? []
    if (others.length > 0) throw new Error(`${at}.${name}: cannot stand beside ${others.join(", ")}`)
    message[name] = readField(field.resolve(), value, `${at}.${name}`)
  }
  return message
}

function readField(field: Field, value: unknown, at: string): unknown {
  if (!field.repeated) return readValue(field, value, at)
  if (!Array.isArray(value)) throw new Error(`${at}: must be a list`)
  return value.map((item, index) => readValue(field, item, `${at}[${index}]`))
}

function readValue({ name, type, resolvedType }: Field, value: unknown, at: string): unknown {
  const must = (what: string): never => {
    throw new Error(`${at}: must be ${what}, is ${JSON.stringify(value)}`)
  }
  if (resolvedType instanceof Type) return readMessage(resolvedType, value, at)
  if (resolvedType instanceof Enum) {
    return typeof value === "number" && value in resolvedType.valuesById ? value : must(`one of ${resolvedType.name}`)
  }
  const range = INT_32[type]
  if (range !== undefined) {
    const fits = Number.isInteger(value) && (value as number) >= range[0] && (value as number) <= range[1]
    return fits ? value : must(`a ${type}`)
  }
  if (INT_64.has(type)) {
    const fits = Number.isSafeInteger(value) || (typeof value === "string" && /^-?\d{1,20}$/.test(value))
    return fits && !(type !== "int64" && String(value).startsWith("-")) ? value : must(`a ${type}`)
  }
  if (type === "bytes")
    return readBytes(name, value) ?? must(`bytes${HEX[name] ? ` as ${HEX[name]} pairs of hex digits` : ""}`)
  if (type === "string") return typeof value === "string" ? value : must("a text")
  if (type === "bool") return typeof value === "boolean" ? value : must("true or false")
  return typeof value === "number" ? value : must(`a ${type}`)
}

function readBytes(name: string, value: unknown): Buffer | undefined {
  if (typeof value !== "string") return undefined
  const length = HEX[name]
  if (length === undefined) return /^[\w+/=-]*$/.test(value) ? Buffer.from(value, "base64") : undefined
  if (name === "parentSpanId" && value === "") return Buffer.alloc(0)
  return value.length === 2 * length && /^[0-9a-f]+$/i.test(value) && /[^0]/.test(value)
    ? Buffer.from(value, "hex")
    : undefined
}
