import { MurmurError } from "../errors.js"

/** What the server says of a stored message. */
export interface StreamAck {
  readonly seq: number
  readonly duplicate: boolean
  /** What a counter came to: only of a stream of counters, and not for a repeat. A whole number of any size. */
  readonly val?: string
}

/** What the server says of a message that it did not store. */
export interface StreamRefusal {
  readonly code: number
  readonly errCode: number
  readonly description: string
}

/** Wrong last sequence: 10071, and in a cluster also 10164. */
const FENCE = new Set([10071, 10164])
/** No room in the server: its memory or disk, or what the account may use. */
const NO_ROOM = new Set([10023, 10047])
/** The store did not take it: a limit with discard new, or a store that is being closed or does not work. */
const STORE_FAILED = 10077
/** A cluster still agrees on an earlier sending of the same message: soon it is a repeat, or it can be sent again. */
const IN_PROCESS = 10158

/** No room: a limit of the stream with discard new, or the store's own limit. */
function full({ errCode, description }: StreamRefusal): boolean {
  return NO_ROOM.has(errCode) || (errCode === STORE_FAILED && /\bmaximum\b|exceeded/.test(description))
}

/**
 * Whether the same message may be taken a moment later: no leader yet, no responders, the server starts or stops (503),
 * more messages wait for the stream than it buffers (429), or the same one is on its way already (409).
 */
export function transient(refusal: StreamRefusal): boolean {
  return refusal.code === 429 || refusal.errCode === IN_PROCESS || (refusal.code === 503 && !full(refusal))
}

/**
 * The server's answer to a publish: an ack, or a refusal with NATS's own numbers. No responders (503, without a body)
 * means that no stream took it. `undefined` when no server wrote it.
 */
export function readReply(data: Uint8Array): StreamAck | StreamRefusal | undefined {
  if (data.length === 0) return { code: 503, errCode: 0, description: "no stream answered" }
  try {
    const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString()
    const { error, seq, duplicate, val } = JSON.parse(text) as Reply
    if (error === undefined) {
      if (typeof seq !== "number") return undefined
      const ack = { seq, duplicate: duplicate === true }
      return val === undefined ? ack : { ...ack, val }
    }
    return { code: error.code ?? 0, errCode: error.err_code ?? 0, description: error.description ?? "" }
  } catch {
    return undefined
  }
}

interface Reply {
  seq?: number
  duplicate?: boolean
  val?: string
  error?: { code?: number; err_code?: number; description?: string }
}

/** A refusal as an error whose code says what to do about it. */
export function publishError(subject: string, refusal: StreamRefusal): MurmurError {
  const details = { subject, ...refusal }
  if (FENCE.has(refusal.errCode)) {
    return new MurmurError(`Cannot append to "${subject}": another writer was first (${refusal.description})`, {
      code: "FENCE_CONFLICT",
      details,
    })
  }
  if (full(refusal)) {
    return new MurmurError(
      `Cannot publish to "${subject}": the stream is full (${refusal.description}). Raise its limits or free space`,
      { code: "STREAM_FULL", details },
    )
  }
  if (refusal.errCode === 10054) {
    return new MurmurError(`Cannot publish to "${subject}": larger than the stream allows (${refusal.description})`, {
      code: "EVENT_TOO_LARGE",
      details,
    })
  }
  return new MurmurError(`Cannot publish to "${subject}": ${refusal.description} (${refusal.errCode})`, {
    code: "PUBLISH_REFUSED",
    details,
  })
}
