import type { Msg, MsgHdrs, NatsConnection, Subscription } from "@nats-io/transport-node"
import { ensureError, MurmurError } from "../errors.js"
import { publishError, readReply, type StreamAck, transient } from "./publish-errors.js"
import { PublishLane, streamOf } from "./publish-lane.js"

/** Bounds and delays of the multiplexer. */
export interface MultiplexerOptions {
  /** After this long without an answer a message is sent again, in milliseconds, four times; then after twice as long each time. Default 3_000. */
  readonly attemptTimeoutMs?: number
  /** How many messages may wait for their ack. More is refused with `PUBLISH_OVERLOAD`. Default 65_536. */
  readonly waitingMax?: number
}

interface Waiter {
  readonly token: string
  readonly lane: PublishLane<Waiter>
  readonly subject: string
  readonly payload: Uint8Array
  readonly headers: MsgHdrs | undefined
  readonly resolve: (ack: StreamAck) => void
  readonly reject: (error: Error) => void
  /** When the publisher stops waiting; the outcome is unknown then. */
  readonly giveUpAt: number
  resendAt: number
  attempts: number
}

const SWEEP_MS = 100
const BACKOFF_MS_MAX = 2_000
/** A server of a cluster that died or stands still is replaced within some 9 s: then what it did not answer is sent again soon. */
const STEADY_ATTEMPTS = 3
/** Repeats of what nobody answers must not be what keeps a slow server slow. */
const ATTEMPT_TIMEOUT_MS_MAX = 30_000
/** Headers count as payload. Ours are far below this, so most messages are not measured. */
const HEADER_BYTES_MAX = 4_096

/**
 * Publishes into streams with one inbox subscription, a map of waiters and one sweep timer for all of them: the same
 * acked guarantee as a request per message, at several times the rate.
 *
 * A message is sent until the server stores or refuses it. The client drops what is published while disconnected, so
 * nothing is sent then, and on each reconnect everything that waits is sent again, in the order in which it came; ids or
 * fences make the repeat harmless. While a stream takes nothing (no leader, too much at once), what comes later for it
 * waits behind what came first. Only `close()`, a closed connection or the caller's own timeout leaves an outcome
 * unknown.
 */
export class AckMultiplexer {
  readonly #connection: NatsConnection
  readonly #inbox: string
  readonly #subscription: Subscription
  /** By token, oldest first. */
  readonly #waiters = new Map<string, Waiter>()
  readonly #lanes = new Map<string, PublishLane<Waiter>>()
  readonly #attemptTimeoutMs: number
  readonly #waitingMax: number
  #bytesMax = Number.POSITIVE_INFINITY
  #next = 0
  #sweep: NodeJS.Timeout | undefined
  #suspended = false
  #closed = false

  constructor(connection: NatsConnection, inbox: string, options: MultiplexerOptions = {}) {
    this.#connection = connection
    this.#inbox = inbox
    this.#attemptTimeoutMs = options.attemptTimeoutMs ?? 3_000
    this.#waitingMax = options.waitingMax ?? 65_536
    this.#subscription = connection.subscribe(`${inbox}.*`, { callback: (error, msg) => this.#onReply(error, msg) })
    void connection.closed().then(() => this.close())
  }

  /** How many messages wait for their ack. */
  get waiting(): number {
    return this.#waiters.size
  }

  /**
   * Sends one message until it is acked or refused, or for `timeoutMs`.
   *
   * @throws MurmurError `EVENT_TOO_LARGE`, `STREAM_FULL`, `FENCE_CONFLICT`, `PUBLISH_DENIED`, `PUBLISH_OVERLOAD`,
   *   `PUBLISH_REFUSED` with the server's code in `details`; `BUS_UNAVAILABLE` (time is up) and `BUS_CLOSED` leave the
   *   outcome unknown: the message may be stored
   */
  send(
    subject: string,
    payload: Uint8Array,
    headers?: MsgHdrs,
    timeoutMs = Number.POSITIVE_INFINITY,
  ): Promise<StreamAck> {
    const refusal = this.#refusal(subject, payload, headers)
    if (refusal !== undefined) return Promise.reject(refusal)
    return new Promise<StreamAck>((resolve, reject) => {
      const token = (this.#next++).toString(36)
      const giveUpAt = Date.now() + timeoutMs
      const lane = this.#lane(subject)
      const waiter = { token, lane, subject, payload, headers, resolve, reject, giveUpAt, resendAt: 0, attempts: 0 }
      this.#waiters.set(token, waiter)
      this.#sweep ??= setInterval(() => this.#onSweep(), SWEEP_MS)
      if (lane.empty && lane.open && !this.#suspended) this.#transmit(waiter)
      else lane.push(waiter)
    })
  }

  /** Sends nothing until {@link resendAll}: the connection is lost. */
  suspend(): void {
    this.#suspended = true
  }

  /** Sends everything that waits again, in order. Called on each reconnect. */
  resendAll(): void {
    this.#suspended = false
    for (const lane of this.#lanes.values()) lane.heldUntil = 0
    for (const waiter of this.#waiters.values()) if (waiter.attempts > 0) this.#transmit(waiter)
    for (const lane of this.#lanes.values()) this.#sendNext(lane)
  }

  /** Fails what waits on a subject that the server does not let us publish to. @returns what the first of it holds */
  deny(subject: string, cause: Error): Uint8Array | undefined {
    let first: Uint8Array | undefined
    for (const waiter of this.#waiters.values()) {
      if (waiter.subject !== subject) continue
      const error = new MurmurError(`Cannot publish to "${subject}": the server denies it to these credentials`, {
        code: "PUBLISH_DENIED",
        cause,
      })
      first ??= waiter.payload
      this.#settle(waiter, () => waiter.reject(error))
    }
    return first
  }

  /** Fails what still waits (outcome unknown) and ends the subscription. May be called twice. */
  close(): void {
    this.#closed = true
    for (const waiter of this.#waiters.values()) this.#settle(waiter, () => waiter.reject(closedError()))
    if (!this.#connection.isClosed() && !this.#subscription.isClosed()) this.#subscription.unsubscribe()
  }

  #refusal(subject: string, payload: Uint8Array, headers: MsgHdrs | undefined): MurmurError | undefined {
    if (this.#closed || this.#connection.isClosed()) return closedError()
    this.#bytesMax = this.#connection.info?.max_payload ?? this.#bytesMax // unknown while disconnected
    if (payload.length > this.#bytesMax - HEADER_BYTES_MAX) {
      const bytes = payload.length + headerBytes(headers)
      if (bytes > this.#bytesMax) return tooLargeError(subject, bytes, this.#bytesMax)
    }
    if (this.#waiters.size < this.#waitingMax) return undefined
    return new MurmurError(
      `Cannot publish to "${subject}": ${this.#waitingMax} messages already wait for their ack. Publish slower, or await earlier publishes`,
      { code: "PUBLISH_OVERLOAD" },
    )
  }

  #lane(subject: string): PublishLane<Waiter> {
    const stream = streamOf(subject)
    let lane = this.#lanes.get(stream)
    if (lane === undefined) {
      lane = new PublishLane()
      this.#lanes.set(stream, lane)
    }
    return lane
  }

  /** Sends what has not been sent, as far as the lane is open. */
  #sendNext(lane: PublishLane<Waiter>): void {
    while (!lane.empty && lane.open && !this.#suspended && !this.#closed) {
      const waiter = lane.take()
      if (waiter !== undefined && this.#waiters.has(waiter.token)) this.#transmit(waiter)
    }
  }

  #transmit(waiter: Waiter): void {
    const timeoutMs = this.#attemptTimeoutMs * 2 ** Math.min(Math.max(0, waiter.attempts - STEADY_ATTEMPTS), 10)
    waiter.resendAt = Date.now() + Math.min(timeoutMs, Math.max(ATTEMPT_TIMEOUT_MS_MAX, this.#attemptTimeoutMs))
    if (waiter.attempts === 0) waiter.lane.inflight += 1
    waiter.attempts += 1
    const { subject, payload, headers } = waiter
    const reply = `${this.#inbox}.${waiter.token}`
    try {
      this.#connection.publish(subject, payload, headers === undefined ? { reply } : { reply, headers })
    } catch (thrown) {
      this.#settle(waiter, () => waiter.reject(this.#unsendable(waiter, ensureError(thrown))))
    }
  }

  /** What the client itself does not send: too large for the server that it is on now, or nothing at all any more. */
  #unsendable({ subject, payload, headers }: Waiter, cause: Error): MurmurError {
    if (this.#connection.isClosed()) return closedError()
    const bytes = payload.length + headerBytes(headers)
    const bytesMax = this.#connection.info?.max_payload ?? bytes
    if (bytes > bytesMax) return tooLargeError(subject, bytes, bytesMax)
    return new MurmurError(`Cannot publish to "${subject}": ${cause.message}`, { code: "PUBLISH_REFUSED", cause })
  }

  #onSweep(): void {
    const now = Date.now()
    const late = new Set<PublishLane<Waiter>>()
    for (const waiter of this.#waiters.values()) {
      if (waiter.giveUpAt <= now) {
        if (waiter.attempts === 0) late.add(waiter.lane)
        this.#settle(waiter, () => waiter.reject(timeoutError(waiter)))
      } else if (waiter.attempts > 0 && waiter.resendAt <= now && !this.#suspended) {
        this.#transmit(waiter)
      }
    }
    for (const lane of late) lane.prune(({ token }) => this.#waiters.has(token))
    for (const lane of this.#lanes.values()) {
      if (lane.heldUntil <= now) lane.heldUntil = 0
      this.#sendNext(lane)
    }
  }

  #onReply(error: Error | null, msg: Msg): void {
    if (error !== null) return
    const token = msg.subject.slice(this.#inbox.length + 1)
    const waiter = this.#waiters.get(token)
    if (waiter === undefined) return
    const reply = readReply(msg.data)
    if (reply === undefined) return // not from a server: the answer is still to come
    if ("seq" in reply) {
      this.#settle(waiter, () => waiter.resolve(reply))
    } else if (transient(reply)) {
      this.#hold(waiter)
    } else {
      this.#settle(waiter, () => waiter.reject(publishError(waiter.subject, reply)))
    }
  }

  /** Sends a message again in a while, and what comes later for its stream not before. */
  #hold(waiter: Waiter): void {
    waiter.resendAt = Date.now() + Math.min(BACKOFF_MS_MAX, 50 * 2 ** Math.min(waiter.attempts, 10))
    waiter.lane.heldUntil = Math.max(waiter.resendAt, waiter.lane.heldUntil)
  }

  #settle(waiter: Waiter, outcome: () => void): void {
    this.#waiters.delete(waiter.token)
    if (waiter.attempts > 0) waiter.lane.inflight -= 1
    if (this.#waiters.size === 0) {
      clearInterval(this.#sweep)
      this.#sweep = undefined
    } else if (!waiter.lane.empty) {
      this.#sendNext(waiter.lane)
    }
    outcome()
  }
}

/** The client's headers can be encoded, which its types do not say. */
function headerBytes(headers: MsgHdrs | undefined): number {
  return (headers as { encode?: () => Uint8Array } | undefined)?.encode?.().length ?? 0
}

function tooLargeError(subject: string, bytes: number, bytesMax: number): MurmurError {
  return new MurmurError(
    `Cannot publish to "${subject}": the event has ${bytes} bytes, the server takes at most ${bytesMax}. Put large data elsewhere and publish a reference`,
    { code: "EVENT_TOO_LARGE", details: { bytes, bytesMax } },
  )
}

function closedError(): MurmurError {
  return new MurmurError("Cannot publish: the connection to the bus is closed", { code: "BUS_CLOSED" })
}

function timeoutError(waiter: Waiter): MurmurError {
  return new MurmurError(
    `No ack for a publish to "${waiter.subject}" after ${waiter.attempts} attempts; it may be stored. Is the server up, and does the mesh's stream exist? Publishing again with the same id is safe`,
    { code: "BUS_UNAVAILABLE", details: { subject: waiter.subject, attempts: waiter.attempts } },
  )
}
