import type { BusCore } from "../bus/bus-core.js"
import { decode } from "../bus/decode.js"
import { type ReadMessage, readHistory, type StreamPosition } from "../bus/reader.js"
import { streamInfo } from "../bus/streams.js"

/** Where a search looks, and how far. */
export interface SearchOptions {
  /** Only from then on. */
  readonly since?: Date | undefined
  /** Only before this sequence. */
  readonly beforeSeq?: number | undefined
  /** How many messages are looked at. Default 1_000_000. */
  readonly scanMax?: number | undefined
  readonly signal?: AbortSignal | undefined
}

const SCAN_MAX = 1_000_000
/** The newest events are asked for most: they are looked at first, then ever larger parts of what is older. */
const FIRST_WINDOW = 10_000
/** An id tells when it was made; clocks may differ by so much. */
const ID_SKEW_MS = 10_000
const ID_WINDOW = 100_000
/** How many messages without any id in their headers are opened to look for it, per window. */
const OPENED_MAX = 1_000

/**
 * The stored message of an event, by the event's id; `undefined` when it is not among those that were looked at. Reads
 * headers only: a million take some seconds.
 */
export async function findEvent(
  bus: BusCore,
  id: string,
  options: SearchOptions = {},
): Promise<ReadMessage | undefined> {
  const { names, link } = bus
  const state = (await streamInfo(link.manager, names.events))?.state
  if (state === undefined) return undefined
  const search = new Search(bus, id, options.signal)
  const raw = rawSeq(names.events, id)
  if (raw !== undefined) return search.message(raw)
  const scanMax = options.scanMax ?? SCAN_MAX
  const last = Math.min(state.last_seq, (options.beforeSeq ?? Number.POSITIVE_INFINITY) - 1)
  if (options.since !== undefined) return search.window({ time: options.since }, last, scanMax)
  const made = timeOfId(id)
  if (made !== undefined) {
    const found = await search.window({ time: new Date(made - ID_SKEW_MS) }, last, Math.min(ID_WINDOW, scanMax))
    if (found !== undefined) return found
  }
  let end = last
  for (let size = FIRST_WINDOW; end >= state.first_seq && last - end < scanMax; size *= 4) {
    const start = Math.max(state.first_seq, end - size + 1, last - scanMax + 1)
    const found = await search.window({ seq: start }, end, size)
    if (found !== undefined) return found
    end = start - 1
  }
  return undefined
}

class Search {
  constructor(
    private readonly bus: BusCore,
    private readonly id: string,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** Looks at messages from a position to a sequence, at most `max`. */
  async window(from: StreamPosition, toSeq: number, max: number): Promise<ReadMessage | undefined> {
    if ("seq" in from && from.seq > toSeq) return undefined
    const withoutId: number[] = []
    let left = max
    for await (const message of this.#read(from, toSeq, true)) {
      const messageId = message.header("Nats-Msg-Id") ?? message.header("ce-id")
      if (messageId === this.id) return this.message(message.seq)
      if (messageId === undefined && withoutId.length < OPENED_MAX) withoutId.push(message.seq)
      left -= 1
      if (left <= 0) break
    }
    // published by hand, as a CloudEvent without headers: the id stands in the payload
    for (const seq of withoutId) {
      const message = await this.message(seq)
      const decoded = message && decode(this.bus.names, message)
      if (decoded?.ok && decoded.event.id === this.id) return message
    }
    return undefined
  }

  /** One message with its payload; `undefined` when it is not there any more. */
  async message(seq: number): Promise<ReadMessage | undefined> {
    for await (const message of this.#read({ seq }, seq, false)) if (message.seq === seq) return message
    return undefined
  }

  #read(from: StreamPosition, toSeq: number, headersOnly: boolean): ReturnType<typeof readHistory> {
    const { names, link } = this.bus
    const filter = names.eventSubjects().published
    const batchMax = headersOnly ? 2_000 : 1
    return readHistory(link, { stream: names.events, filter, from, toSeq, headersOnly, batchMax, signal: this.signal })
  }
}

/** The sequence in the id of a message that came without an envelope. */
function rawSeq(stream: string, id: string): number | undefined {
  const digits = id.startsWith(`${stream}:`) ? id.slice(stream.length + 1) : ""
  return /^\d+$/.test(digits) ? Number(digits) : undefined
}

/** When a UUIDv7 was made, in milliseconds. */
function timeOfId(id: string): number | undefined {
  const match = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/i.exec(id)
  return match === null ? undefined : Number.parseInt(`${match[1]}${match[2]}`, 16)
}
