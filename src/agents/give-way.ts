import { isMurmurError } from "../errors.js"
import type { Clock } from "./clock.js"

const LOOK_EVERY_MS = 500
/** A node that has added nothing to the journal for so long is taken for dead, or its call for lost. */
const QUIET_MS = 30_000

/** What the node that gives way looks at. */
export interface OtherRun {
  /** Whether it has ended: the step's commit is there, or its event is given up. */
  ended(): Promise<boolean>
  /** How many answers its journal holds. */
  answers(): Promise<number>
}

/** Whether an attempt ended because another node runs the same step. That is no failure of the step. */
export function isTakenOver(error: unknown): boolean {
  return isMurmurError(error) && error.code === "STEP_TAKEN_OVER"
}

/**
 * Of two nodes in the same step, one lost the fence of its journal and waits here: if both went on, each would make the
 * calls of the other again. Resolves when the other has ended, or has made no progress for 30 seconds.
 */
export async function giveWay(other: OtherRun, clock: Clock, stopping: AbortSignal): Promise<void> {
  let answers = -1
  let grewAt = clock.now()
  while (clock.now() - grewAt < QUIET_MS && !stopping.aborted) {
    await clock.delay(LOOK_EVERY_MS, stopping)
    if (await other.ended()) return
    const now = await other.answers()
    if (now === answers) continue
    answers = now
    grewAt = clock.now()
  }
}
