import type { MurmurEvent, Trust } from "../../bus/event.js"
import { errorCode } from "../../errors.js"
import type { Journal } from "../journal/journal.js"
import type { TaskWait, WaitingRecord } from "../journal/records.js"
import type { EventPort } from "../ports.js"
import { mayReply, type ResultResume, taskOf } from "./authority.js"
import { type Arrived, decide, decideAtDeadline } from "./decide.js"
import type { StoredResult } from "./task.js"

/** What the arrival of a result means for a step that waits for it. */
export type ResultMeaning =
  /** Whoever sent it may not say so. */
  | { readonly kind: "refused" }
  /** It is noted; more must come. */
  | { readonly kind: "noted" }
  | { readonly kind: "enough"; readonly results: StoredResult[] }

const TOO_LARGE = "DELEGATE_TOO_LARGE"

/**
 * Takes the result of one task. What it decides is decided for good: the step is given the results that have come by
 * then, however often it runs again.
 */
export async function takeResult(
  journal: Journal,
  { position, wait, at }: Pick<WaitingRecord, "position" | "at"> & { readonly wait: TaskWait },
  resume: ResultResume,
  {
    carrier,
    events,
  }: { readonly carrier: Pick<MurmurEvent, "producer" | "trust" | "trace">; readonly events: Pick<EventPort, "ids"> },
): Promise<ResultMeaning> {
  const task = taskOf(wait, resume)
  if (task === undefined) return { kind: "refused" }
  if (!(await mayReply(carrier.producer, task, resume, { events, from: at }))) return { kind: "refused" }
  const before = journal.cameAt(position)
  const { traceparent } = carrier.trace ?? {}
  const arrived: Arrived = { task: task.id, result: resultOf(resume, carrier.trust), traceparent }
  const isKnown = before.some((other) => other.task === task.id)
  const results = decide(wait, isKnown ? before : [...before, arrived])
  if (results !== undefined) return { kind: "enough", results }
  await noteResult(journal, position, arrived)
  return { kind: "noted" }
}

/** The result that is told, with what only its carrier can say of it. */
function resultOf({ result }: ResultResume, trust: Trust): StoredResult {
  const outside = trust === "external" && { outside: true }
  return result.ok ? { ok: true, output: result.output, ...outside } : { ok: false, error: result.error, ...outside }
}

/** What a step goes on with when the time of its tasks is up. */
export function resultsAtDeadline(
  journal: Journal,
  { position, wait }: { position: number; wait: TaskWait },
): StoredResult[] {
  return decideAtDeadline(wait, journal.cameAt(position))
}

/** A result that is larger than a record may be is an error: the step could wait for it for ever. */
async function noteResult(journal: Journal, position: number, arrived: Arrived): Promise<void> {
  try {
    await journal.come(position, arrived)
  } catch (error) {
    if (errorCode(error) !== "EVENT_TOO_LARGE") throw error
    await journal.come(position, { ...arrived, result: tooLarge() })
  }
}

/** Lets a step go on with results; where they are together larger than a record may be, with errors in their place. */
export async function resolveWith(
  journal: Journal,
  position: number,
  results: readonly StoredResult[],
  seq: number,
): Promise<void> {
  try {
    await journal.resolve(position, results, seq)
  } catch (error) {
    if (errorCode(error) !== "EVENT_TOO_LARGE") throw error
    await journal.resolve(
      position,
      results.map((result) => (result.ok ? tooLarge() : result)),
      seq,
    )
  }
}

function tooLarge(): StoredResult {
  const message = "The results are together larger than one message of the server: have agents reply with references"
  return { ok: false, error: { code: TOO_LARGE, message } }
}
