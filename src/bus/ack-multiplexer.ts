import type { Msg, MsgHdrs, NatsConnection, Subscription } from "@nats-io/transport-node"
import { MurmurError } from "../errors.js"
import { publishError, type StreamAck, transient } from "./publish-errors.js"

/** Bounds and delays of the multiplexer. */
export interface MultiplexerOptions {
  /** After this long without an answer a message is sent again, in milliseconds. Default 3_000. */
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

/**
 * Publishes into streams with one inbox subscription, a map of waiters and one sweep timer for all of them: the same
 * acked guarantee as a request per message, at several times the rate.
 *
 * A message is sent until the server stores or refuses it. The client drops what is published while disconnected, so
 * on each reconnect everything that waits is sent again, in the order in which it came; ids or fences make the repeat
 * harmless. Only `close()` or the caller's own timeout leaves an outcome unknown.
 */
export class AckMultiplexer {
  readonly #connection: NatsConnection
  readonly #inbox: string
  readonly #subscription: Subscription
  readonly #waiters = new Map<string, Waiter>()
  readonly #attemptTimeoutMs: number
  readonly #waitingMax: number
  #next = 0
  #sweep: NodeJS.Timeout | undefined
  #closed = false

  constructor(connection: NatsConnection, inbox: string, options: MultiplexerOptions = {}) {
    this.#connection = connection
    this.#inbox = inbox
    this.#attemptTimeoutMs = options.attemptTimeoutMs ?? 3_000
    this.#waitingMax = options.waitingMax ?? 65_536
    this.#subscription = connection.subscribe(`${inbox}.*`, { callback: (error, msg) => this.#onReply(error, msg) })
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
    const refusal = this.#refusal(subject, payload)
    if (refusal !== undefined) return Promise.reject(refusal)
    return new Promise<StreamAck>((resolve, reject) => {
      const token = (this.#next++).toString(36)
      const giveUpAt = Date.now() + timeoutMs
      const waiter: Waiter = { subject, payload, headers, resolve, reject, giveUpAt, resendAt: 0, attempts: 0 }
      this.#waiters.set(token, waiter)
      this.#transmit(token, waiter)
      this.#sweep ??= setInterval(() => this.#resendOverdue(), SWEEP_MS)
    })
  }

  /** Sends everything that waits again, in order. Called on each reconnect. */
  resendAll(): void {
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

  /** Fails what still waits (outcome unknown) and ends the subscription. */
  close(): void {
    this.#closed = true
    for (const [token, waiter] of this.#waiters) this.#settle(token, () => waiter.reject(closedError()))
    if (!this.#subscription.isClosed()) this.#subscription.unsubscribe()
  }

  #refusal(subject: string, payload: Uint8Array): MurmurError | undefined {
    if (this.#closed || this.#connection.isClosed()) return closedError()
    const bytesMax = this.#connection.info?.max_payload ?? Number.POSITIVE_INFINITY
    if (payload.length > bytesMax) {
      return new MurmurError(
        `Cannot publish to "${subject}": the event has ${payload.length} bytes, the server takes at most ${bytesMax}. Put large data elsewhere and publish a reference`,
        { code: "EVENT_TOO_LARGE", details: { bytes: payload.length, bytesMax } },
      )
    }
    if (this.#waiters.size < this.#waitingMax) return undefined
    return new MurmurError(
      `Cannot publish to "${subject}": ${this.#waitingMax} messages already wait for their ack. Publish slower, or await earlier publishes`,
      { code: "PUBLISH_OVERLOAD" },
    )
  }

  #transmit(token: string, waiter: Waiter): void {
    waiter.attempts += 1
    waiter.resendAt = Date.now() + this.#attemptTimeoutMs
    const options = { reply: `${this.#inbox}.${token}`, ...(waiter.headers && { headers: waiter.headers }) }
    this.#connection.publish(waiter.subject, waiter.payload, options)
  }

  #resendOverdue(): void {
    const now = Date.now()
    for (const [token, waiter] of this.#waiters) {
      if (waiter.giveUpAt <= now) this.#settle(token, () => waiter.reject(timeoutError(waiter)))
      else if (waiter.resendAt <= now) this.#transmit(token, waiter)
    }
  }

  #onReply(error: Error | null, msg: Msg): void {
    if (error !== null) return
    const token = msg.subject.slice(this.#inbox.length + 1)
    const waiter = this.#waiters.get(token)
    if (waiter === undefined) return
    const reply = readReply(msg)
    if ("seq" in reply) {
      this.#settle(token, () => waiter.resolve(reply))
    } else if (transient(reply)) {
      waiter.resendAt = Date.now() + Math.min(BACKOFF_MS_MAX, 50 * 2 ** Math.min(waiter.attempts, 10))
    } else {
      this.#settle(token, () => waiter.reject(publishError(waiter.subject, reply)))
    }
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

/** The server's answer: an ack, or an error with NATS's own numbers. No responders (503) means no stream took it. */
function readReply(msg: Msg): StreamAck | { code: number; errCode: number; description: string } {
  if (msg.data.length === 0) return { code: 503, errCode: 0, description: "no stream answered" }
  const reply = JSON.parse(Buffer.from(msg.data.buffer, msg.data.byteOffset, msg.data.byteLength).toString()) as {
    seq?: number
    duplicate?: boolean
    error?: { code: number; err_code?: number; description?: string }
  }
  if (reply.error === undefined) return { seq: reply.seq ?? 0, duplicate: reply.duplicate === true }
  const { code, err_code: errCode = 0, description = "" } = reply.error
  return { code, errCode, description }
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
