import { headers, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node"
import { MurmurError } from "../errors.js"
import { AckMultiplexer, type MultiplexerOptions } from "./ack-multiplexer.js"
import { checkDraft } from "./check-draft.js"
import { encode, type Provenance, type SealedEvent, STRUCTURED, seal } from "./encode.js"
import type { EventDraft } from "./event.js"
import { pipelined } from "./pipelined.js"
import type { StreamAck } from "./publish-errors.js"
import type { MeshNames } from "./subjects.js"

/** What the server said of one publish. */
export interface PublishAck {
  /** The event's id. */
  readonly id: string
  readonly type: string
  readonly key: string | undefined
  /** Sequence in the EVENTS stream. */
  readonly seq: number
  /** The id was stored before, inside the dedup window; nothing was stored now. */
  readonly duplicate: boolean
}

/** Who publishes, because of what, and how long to try. */
export interface PublishOptions extends Omit<Provenance, "mesh"> {
  /** How long to try, in milliseconds. Default: until the server stores or refuses the event. */
  readonly timeoutMs?: number
}

/** Options of a bulk publish. */
export interface BulkOptions extends PublishOptions {
  /** How many events may wait for their ack at a time. Default 256. */
  readonly inflightMax?: number
}

/**
 * Puts events on the bus. Each is stored once per id inside the dedup window, and is sent until the server has said
 * yes or no: a lost connection delays an event, it does not lose it.
 */
export class Publisher {
  readonly #multiplexer: AckMultiplexer

  constructor(
    connection: NatsConnection,
    inbox: string,
    private readonly names: MeshNames,
    options?: MultiplexerOptions,
  ) {
    this.#multiplexer = new AckMultiplexer(connection, inbox, options)
  }

  /** How many messages wait for their ack. */
  get waiting(): number {
    return this.#multiplexer.waiting
  }

  /**
   * Publishes one event.
   *
   * @throws MurmurError `EVENT_TYPE`, `EVENT_ID`, `EVENT_TIME`, `EVENT_SOURCE`, `EVENT_EXTENSION`, `EVENT_DATA` (no JSON),
   *   `NAME_INVALID`, `PUBLISH_OPTION`, and as {@link AckMultiplexer.send}
   */
  async publish(draft: EventDraft, options: PublishOptions): Promise<PublishAck> {
    checkDraft(draft)
    checkTimeout(options.timeoutMs)
    return this.store(seal(draft, { ...options, mesh: this.names.mesh }), options.timeoutMs)
  }

  /** Publishes an event that is sealed already: what a stored commit holds, or an output with a derived id. */
  async store(event: SealedEvent, timeoutMs?: number): Promise<PublishAck> {
    const subject = this.names.publishSubject(event.producer, event.key, event.type)
    const ack = await this.#multiplexer.send(subject, encode(event), eventHeaders(event.id), timeoutMs)
    return { id: event.id, type: event.type, key: event.key, seq: ack.seq, duplicate: ack.duplicate }
  }

  /**
   * Publishes many events, pipelined, and yields their acks in the order of the input, each as soon as it is there. At
   * most `inflightMax` wait at a time; the input is read no faster than that. Stops at the first refusal; what was on its
   * way then may be stored.
   *
   * @throws MurmurError `PUBLISH_OPTION`, and as {@link publish}
   */
  async *publishMany(
    drafts: Iterable<EventDraft> | AsyncIterable<EventDraft>,
    options: BulkOptions,
  ): AsyncGenerator<PublishAck> {
    const inflightMax = options.inflightMax ?? 256
    if (!Number.isInteger(inflightMax) || inflightMax < 1) {
      throw new MurmurError(`Cannot publish in bulk: inflightMax must be an integer >= 1, is ${inflightMax}`, {
        code: "PUBLISH_OPTION",
      })
    }
    yield* pipelined(drafts, (draft) => this.publish(draft, options), inflightMax)
  }

  /**
   * Appends a record to a log stream: no message id, so that the server checks the fence first and a zombie cannot
   * mistake another's record for its own.
   *
   * @param expectedSeq sequence of the last message on this subject; 0 for none; `undefined` for no fence
   * @throws MurmurError `FENCE_CONFLICT` and as {@link AckMultiplexer.send}
   */
  append(
    subject: string,
    payload: Uint8Array,
    expectedSeq?: number,
    extra?: Record<string, string>,
  ): Promise<StreamAck> {
    return this.#multiplexer.send(subject, payload, logHeaders(expectedSeq, extra))
  }

  /** Sends nothing until {@link resendAll}. For the connection's owner, when it is lost. */
  suspend(): void {
    this.#multiplexer.suspend()
  }

  /** Sends what waits again. For the connection's owner, on reconnect. */
  resendAll(): void {
    this.#multiplexer.resendAll()
  }

  /**
   * Fails what waits on a subject that the server denies. For the connection's owner.
   *
   * @returns id of the event because of which it was to be published, when what was denied is an event that has one
   */
  deny(subject: string, cause: Error): string | undefined {
    const payload = this.#multiplexer.deny(subject, cause)
    return payload === undefined ? undefined : causeOf(payload)
  }

  close(): void {
    this.#multiplexer.close()
  }
}

function checkTimeout(timeoutMs: number | undefined): void {
  if (timeoutMs === undefined || timeoutMs > 0) return
  throw new MurmurError(`Cannot publish: timeoutMs must be a number > 0, is ${timeoutMs}`, { code: "PUBLISH_OPTION" })
}

const HEADERS_START = `NATS/1.0\r\ncontent-type: ${STRUCTURED}\r\nNats-Msg-Id: `
const HEADERS_END = "\r\n\r\n"
const FENCE = "Nats-Expected-Last-Subject-Sequence"
const FENCE_START = `NATS/1.0\r\n${FENCE}: `
const PRINTABLE = /^[!-~]+$/

/**
 * The headers of an event. The client asks headers that it sends for their bytes and for nothing else, so an ordinary id
 * is put between bytes that are always the same (measured: a seventh of the time that building and encoding them takes).
 */
function eventHeaders(id: string): MsgHdrs {
  if (PRINTABLE.test(id)) return new EncodedHeaders(HEADERS_START + id + HEADERS_END) as unknown as MsgHdrs
  const sent = headers() // refuses what must not stand in a header
  sent.set("content-type", STRUCTURED)
  sent.set("Nats-Msg-Id", id)
  return sent
}

/** The headers of a record in a log, most of which have the fence alone. */
function logHeaders(expectedSeq: number | undefined, extra: Record<string, string> | undefined): MsgHdrs {
  if (extra === undefined && expectedSeq !== undefined) {
    return new EncodedHeaders(`${FENCE_START}${expectedSeq}${HEADERS_END}`) as unknown as MsgHdrs
  }
  const sent = headers()
  if (expectedSeq !== undefined) sent.set(FENCE, String(expectedSeq))
  for (const [name, value] of Object.entries(extra ?? {})) sent.set(name, value)
  return sent
}

class EncodedHeaders {
  constructor(private readonly text: string) {}

  encode(): Uint8Array {
    return Buffer.from(this.text, "latin1")
  }
}

function causeOf(payload: Uint8Array): string | undefined {
  try {
    const { causationid } = JSON.parse(Buffer.from(payload).toString()) as { causationid?: unknown }
    return typeof causationid === "string" ? causationid : undefined
  } catch {
    return undefined
  }
}
