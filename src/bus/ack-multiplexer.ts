import type { Msg, MsgHdrs, NatsConnection, Subscription } from "@nats-io/transport-node"
import { ensureError, MurmurError } from "../errors.js"
import { publishError, readReply, type StreamAck, transient } from "./publish-errors.js"

/** Bounds and delays of the multiplexer. */
export interface MultiplexerOptions {
  /** After this long without an answer a message is sent again, in milliseconds; then after twice as long. Default 3_000. */
  readonly attemptTimeoutMs?: number
  /** How many messages may wait for their ack. More is refused with `PUBLISH_OVERLOAD`. Default 65_536. */
  readonly waitingMax?: number
}

interface Waiter {
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
 * fences make the repeat harmless. While a stream does not answer (no leader, too much at once), what comes later for
 * it waits behind what came first. Only `close()`, a closed connection or the caller's own timeout leaves an outcome
 * unknown.
 */
export class AckMultiplexer {
  readonly #connection: NatsConnection
  readonly #inbox: string
  readonly #subscription: Subscription
  readonly #waiters = new Map<string, Waiter>()
  readonly #attemptTimeoutMs: number
  readonly #waitingMax: number
  /** Streams that do not take messages at the moment, and when what waits for them is sent again. */
  readonly #held = new Map<string, number>()
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
      const waiter: Waiter = { subject, payload, headers, resolve, reject, giveUpAt, resendAt: 0, attempts: 0 }
      this.#waiters.set(token, waiter)
      this.#sweep ??= setInterval(() => this.#resendOverdue(), SWEEP_MS)
      const heldUntil = this.#held.size === 0 ? undefined : this.#held.get(streamOf(subject))
      if (heldUntil === undefined) this.#transmit(token, waiter)
      else waiter.resendAt = heldUntil
    })
  }

  /** Sends nothing until {@link resendAll}: the connection is lost. */
  suspend(): void {
    this.#suspended = true
  }

  /** Sends everything that waits again, in order. Called on each reconnect. */
  resendAll(): void {
    this.#suspended = false
    this.#held.clear()
    for (const [token, waiter] of this.#waiters) this.#transmit(token, waiter)
  }

  /** Fails what waits on a subject that the server does not let us publish to. */
  deny(subject: string, cause: Error): void {
    for (const [token, waiter] of this.#waiters) {
      if (waiter.subject !== subject) continue
      const error = new MurmurError(`Cannot publish to "${subject}": the server denies it to these credentials`, {
        code: "PUBLISH_DENIED",
        cause,
      })
      this.#settle(token, () => waiter.reject(error))
    }
  }

  /** Fails what still waits (outcome unknown) and ends the subscription. May be called twice. */
  close(): void {
    this.#closed = true
    for (const [token, waiter] of this.#waiters) this.#settle(token, () => waiter.reject(closedError()))
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

  #transmit(token: string, waiter: Waiter): void {
    if (this.#suspended) return
    const timeoutMs = this.#attemptTimeoutMs * 2 ** Math.min(waiter.attempts, 10)
    waiter.resendAt = Date.now() + Math.min(timeoutMs, Math.max(ATTEMPT_TIMEOUT_MS_MAX, this.#attemptTimeoutMs))
    waiter.attempts += 1
    const { subject, payload, headers } = waiter
    const reply = `${this.#inbox}.${token}`
    try {
      this.#connection.publish(subject, payload, headers === undefined ? { reply } : { reply, headers })
    } catch (thrown) {
      this.#settle(token, () => waiter.reject(this.#unsendable(waiter, ensureError(thrown))))
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

  #resendOverdue(): void {
    const now = Date.now()
    for (const [token, waiter] of this.#waiters) {
      if (waiter.giveUpAt <= now) this.#settle(token, () => waiter.reject(timeoutError(waiter)))
      else if (waiter.resendAt <= now) this.#transmit(token, waiter)
    }
    for (const [stream, until] of this.#held) if (until <= now) this.#held.delete(stream)
  }

  #onReply(error: Error | null, msg: Msg): void {
    if (error !== null) return
    const token = msg.subject.slice(this.#inbox.length + 1)
    const waiter = this.#waiters.get(token)
    if (waiter === undefined) return
    const reply = readReply(msg.data)
    if (reply === undefined) return // not from a server: the answer is still to come
    if ("seq" in reply) {
      this.#settle(token, () => waiter.resolve(reply))
    } else if (transient(reply)) {
      this.#hold(waiter)
    } else {
      this.#settle(token, () => waiter.reject(publishError(waiter.subject, reply)))
    }
  }

  /** Sends a message again in a while, and what comes later for its stream not before. */
  #hold(waiter: Waiter): void {
    waiter.resendAt = Date.now() + Math.min(BACKOFF_MS_MAX, 50 * 2 ** Math.min(waiter.attempts, 10))
    const stream = streamOf(waiter.subject)
    this.#held.set(stream, Math.max(waiter.resendAt, this.#held.get(stream) ?? 0))
  }

  #settle(token: string, outcome: () => void): void {
    this.#waiters.delete(token)
    if (this.#waiters.size === 0) {
      clearInterval(this.#sweep)
      this.#sweep = undefined
    }
    outcome()
  }
}

/** `<mesh>.<kind>`: each kind of subject is one stream. */
function streamOf(subject: string): string {
  return subject.slice(0, subject.indexOf(".", subject.indexOf(".") + 1))
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
