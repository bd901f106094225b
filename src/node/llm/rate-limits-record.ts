import { createHash } from "node:crypto"
import { z } from "zod"
import type { BucketEntry } from "../../bus/bucket.js"

/** What was sent in one slice of the window, by all nodes together. Times are the server's, in milliseconds since 1970. */
export interface Sent {
  /** Of the newest write that it holds: a slice holds all writes after those of the slice before. */
  readonly revision: number
  /** When the newest of it was granted. */
  readonly at: number
  readonly requests: number
  readonly tokens: number
  /** How long after `at` a request of it may still be on its way; it counts so much longer. */
  readonly graceMs: number
}

/** The provider said when to come back. */
export interface Hold {
  readonly fromMs: number
  readonly untilMs: number
  /** When, after it, one request was let through to see whether more may follow. */
  readonly probedAt: number | undefined
}

/** What all nodes know of the limits of one provider and account. */
export interface LimitRecord {
  /** 0 when nobody has written it. */
  readonly revision: number
  /** By revision. */
  readonly sent: readonly Sent[]
  readonly hold: Hold | undefined
}

/** Where an account's record is kept: accounts may be named in any way, keys of a bucket may not. */
export function recordKey(provider: string, account: string): string {
  const hash = createHash("sha256").update(`${provider}\n${account}`).digest("base64url").slice(0, 22)
  return `${provider.replace(/[^\w-]/g, "_")}.${hash}`
}

/** A record that nobody has written. */
export const NO_RECORD: LimitRecord = { revision: 0, sent: [], hold: undefined }

const count = z.int().min(0)
/** `null` stands for what only the server knows at the time of writing: when the write was made, and its revision. */
const time = z.number().nullable()

const Stored = z.object({
  sent: z.array(z.tuple([count.nullable(), time, count, count, count])),
  hold: z.object({ from: time, forMs: count, probed: time.optional() }).optional(),
})
type Stored = z.infer<typeof Stored>

/**
 * Reads a record. A writer cannot know what time it is at the server, and no two machines' clocks are alike: so it leaves
 * its own times open, and they are those of the message as the server stored it.
 *
 * What cannot be read counts as if it had used up every limit when it was written.
 */
export function readRecord({ value, revision, at: written }: BucketEntry): LimitRecord {
  const atMs = written.getTime()
  const checked = Stored.safeParse(value)
  if (!checked.success) return { revision, sent: [full(revision, atMs)], hold: undefined }
  // nothing in it is younger than itself; it seems so only when the server's clock was set back
  const timeOf = (ms: number | null): number => Math.min(ms ?? atMs, atMs)
  const sent = checked.data.sent.map(([by, at, requests, tokens, graceMs]) => {
    return { revision: by ?? revision, at: timeOf(at), requests, tokens, graceMs }
  })
  return { revision, sent, hold: readHold(checked.data.hold, timeOf) }
}

function readHold(stored: Stored["hold"], timeOf: (ms: number | null) => number): Hold | undefined {
  if (stored === undefined) return undefined
  const fromMs = timeOf(stored.from)
  const { probed } = stored
  return { fromMs, untilMs: fromMs + stored.forMs, probedAt: probed === undefined ? undefined : timeOf(probed) }
}

function full(revision: number, at: number): Sent {
  return { revision, at, requests: Number.MAX_SAFE_INTEGER, tokens: Number.MAX_SAFE_INTEGER, graceMs: 0 }
}

/** Requests or tokens that a write has counted, and that were not used after all. */
export interface Refund {
  /** Of the write that counted them. */
  readonly revision: number
  readonly requests: number
  readonly tokens: number
}

/** What one write changes. */
export interface Change {
  /** Granted by this write. */
  readonly requests: number
  readonly tokens: number
  readonly graceMs: number
  readonly refunds: readonly Refund[]
  /** Nobody asks for so long, counted from this write. */
  readonly holdMs: number | undefined
  /** What is granted is to show whether the provider answers again. */
  readonly probe: boolean
  /** It does. */
  readonly answered: boolean
}

/**
 * The record after a change, as it is stored.
 *
 * @param nowMs not later than it is at the server: what no longer counts then is left out
 */
export function changedRecord(record: LimitRecord, change: Change, nowMs: number, windowMs: number): unknown {
  const counting = record.sent.filter((sent) => countsUntil(sent, windowMs) > nowMs)
  const slices = merged(refunded(counting, change.refunds), windowMs / SLICES)
  const sent: Stored["sent"] = slices.map((slice) => {
    return [slice.revision, slice.at, slice.requests, slice.tokens, slice.graceMs]
  })
  if (change.requests > 0 || change.tokens > 0) {
    sent.push([null, null, change.requests, change.tokens, change.graceMs])
  }
  const hold = changedHold(record.hold, change, nowMs, windowMs)
  const stored: Stored = { sent, ...(hold !== undefined && { hold }) }
  return stored
}

/** How many slices a window is kept in: what is in one stops to count at one time. */
const SLICES = 60

/** Until when something counts, in server time. */
export function countsUntil({ at, graceMs }: Sent, windowMs: number): number {
  return at + windowMs + graceMs
}

function refunded(sent: readonly Sent[], refunds: readonly Refund[]): Sent[] {
  const slices = [...sent]
  for (const refund of refunds) {
    const at = slices.findIndex(({ revision }) => revision >= refund.revision)
    const slice = slices[at]
    if (slice === undefined) continue
    const requests = Math.max(0, slice.requests - refund.requests)
    slices[at] = { ...slice, requests, tokens: Math.max(0, slice.tokens - refund.tokens) }
  }
  return slices
}

function merged(sent: readonly Sent[], sliceMs: number): Sent[] {
  const slices: Sent[] = []
  for (const next of sent) {
    const last = slices.at(-1)
    if (last === undefined || Math.floor(last.at / sliceMs) !== Math.floor(next.at / sliceMs)) slices.push(next)
    else slices[slices.length - 1] = both(last, next)
  }
  return slices
}

function both(one: Sent, next: Sent): Sent {
  return {
    revision: next.revision,
    at: Math.max(one.at, next.at),
    requests: Math.min(Number.MAX_SAFE_INTEGER, one.requests + next.requests),
    tokens: Math.min(Number.MAX_SAFE_INTEGER, one.tokens + next.tokens),
    graceMs: Math.max(one.graceMs, next.graceMs),
  }
}

function changedHold(hold: Hold | undefined, change: Change, nowMs: number, windowMs: number): Stored["hold"] {
  if (change.holdMs !== undefined) {
    const longer = hold !== undefined && hold.untilMs > nowMs + change.holdMs
    return longer ? storedHold(hold) : { from: null, forMs: Math.ceil(change.holdMs) }
  }
  if (hold === undefined || isOver(hold, nowMs, windowMs)) return undefined
  if (change.answered && hold.probedAt !== undefined) return undefined
  return change.probe ? { ...storedHold(hold), probed: null } : storedHold(hold)
}

function storedHold({ fromMs, untilMs, probedAt }: Hold): NonNullable<Stored["hold"]> {
  return { from: fromMs, forMs: untilMs - fromMs, ...(probedAt !== undefined && { probed: probedAt }) }
}

/** Whether so much time has passed since a hold that it says nothing any longer. */
export function isOver({ untilMs, probedAt }: Hold, nowMs: number, windowMs: number): boolean {
  return nowMs > untilMs + windowMs || (probedAt !== undefined && nowMs > probedAt + PROBE_MS)
}

/** How long one request is waited for that is to show whether the provider answers again: refusals come quickly. */
export const PROBE_MS = 5_000
