import { MurmurError } from "../errors.js"

/** What the server says of a stored message. */
export interface StreamAck {
  readonly seq: number
  readonly duplicate: boolean
}

/** What the server says of a message that it did not store. */
export interface StreamRefusal {
  readonly code: number
  readonly errCode: number
  readonly description: string
}

/** Wrong last sequence: 10071, and in a cluster also 10164. */
const FENCE = new Set([10071, 10164])
/** No room: maximum messages or bytes with discard new, or the store's own limit. */
const FULL = new Set([10077, 10023, 10047])

/** Whether the same message may be taken a moment later: no leader yet, no responders, the server is starting. */
export function transient(refusal: StreamRefusal): boolean {
  return refusal.code === 503 && !FULL.has(refusal.errCode)
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
  if (FULL.has(refusal.errCode)) {
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
