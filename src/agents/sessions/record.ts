import { z } from "zod"
import type { SealedEvent } from "../../bus/encode.js"
import { MurmurError } from "../../errors.js"
import type { Change } from "./changes.js"

/** One state entry: what a handler recorded. */
export interface StateEntry {
  readonly name: string
  readonly data: unknown
}

const PathStep = z.union([z.string(), z.number()])
const ChangeRecord = z.union([z.tuple([z.array(PathStep)]), z.tuple([z.array(PathStep), z.unknown()])])

const Entry = z.object({ name: z.string(), data: z.unknown() })

/** The event that a step handled. */
const Cause = z.object({
  id: z.string(),
  type: z.string(),
  /** 0 when it did not come in stream order. */
  seq: z.number(),
  /** When the server stored it. */
  at: z.string().optional(),
})

/** What a step has used of models. */
const StepUsage = z.object({
  inputTokens: z.int().min(0),
  outputTokens: z.int().min(0),
  /** In millionths of a US dollar; missing where a model has no known price. */
  costMicroUsd: z.number().min(0).optional(),
})
export type StepUsage = z.infer<typeof StepUsage>

/** The record that ends a step: cause, entries and outputs, in one append. */
export const CommitRecord = z.object({
  kind: z.literal("commit"),
  cause: Cause,
  entries: z.array(Entry),
  /** What the entries changed in the state: it can be shown as of any commit without the agent's code. */
  changes: z.array(ChangeRecord).default([]),
  /** Sealed events, as they are published. */
  outputs: z.array(z.unknown()),
  /** What models have cost in this step, all its attempts together; missing when it asked none. */
  usage: StepUsage.optional(),
  /** Which attempt succeeded. */
  attempt: z.number(),
  /** Version of the agent's code: a hash of its definition, or what the agent declares. */
  code: z.string(),
  /** Version of the state that the entries belong to. */
  stateVersion: z.number(),
  /** Sequence of the newest snapshot of this session; 0 when there is none. */
  snapshot: z.number(),
  at: z.string(),
})
export type CommitRecord = Omit<z.infer<typeof CommitRecord>, "outputs" | "changes"> & {
  outputs: readonly SealedEvent[]
  changes: readonly Change[]
}

/**
 * An event was given up. Fenced as a commit is, and written before the dead letter: so of giving up and committing only
 * one comes about, whichever nodes try. When the letter is sent back, the event may be committed after all.
 */
export const GivenUpRecord = z.object({
  kind: z.literal("given-up"),
  cause: Cause,
  /** Sequence of the message that brought the event: one that is sent back comes with a later one. */
  broughtBy: z.number(),
  reason: z.string(),
  error: z.object({ code: z.string(), message: z.string() }),
  snapshot: z.number(),
  at: z.string(),
})
export type GivenUpRecord = z.infer<typeof GivenUpRecord>

const CauseHash = z.tuple([z.string(), z.number()])

/** Causes of a session with many: a snapshot names the records that hold the older ones, and holds the newer itself. */
export const CausesRecord = z.object({
  kind: z.literal("causes"),
  /** Hashes of equal length, one behind the other: a session may have a hundred thousand. */
  hashes: z.string(),
  snapshot: z.number(),
  at: z.string(),
})
export type CausesRecord = z.infer<typeof CausesRecord>

/** The state as of the commit before it, so that what lies before need not be folded. */
export const SnapshotRecord = z.object({
  kind: z.literal("snapshot"),
  state: z.unknown(),
  stateVersion: z.number(),
  causes: z.object({
    through: z.number(),
    throughAtMs: z.number().optional(),
    recent: z.array(CauseHash),
    givenUp: z.array(CauseHash).optional(),
    /** Sequences of the records with older causes, and the time of the newest in each. */
    archives: z.array(z.tuple([z.number(), z.number()])).optional(),
  }),
  commits: z.number(),
  at: z.string(),
})
export type SnapshotRecord = z.infer<typeof SnapshotRecord>

const SessionRecord = z.discriminatedUnion("kind", [CommitRecord, GivenUpRecord, CausesRecord, SnapshotRecord])
export type SessionRecord = CommitRecord | GivenUpRecord | CausesRecord | SnapshotRecord

/** @throws MurmurError `SESSION_RECORD` when murmur did not write it */
export function parseSessionRecord(data: Uint8Array, subject: string, seq: number): SessionRecord {
  try {
    return SessionRecord.parse(JSON.parse(Buffer.from(data).toString())) as SessionRecord
  } catch (cause) {
    throw new MurmurError(
      `Cannot read record ${seq} of session "${subject}": murmur did not write it, or a newer version did`,
      { code: "SESSION_RECORD", cause, details: { subject, seq } },
    )
  }
}
