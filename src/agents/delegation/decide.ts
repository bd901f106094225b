import type { TaskWait } from "../journal/records.js"
import { isMajority, largestVote } from "./agreed.js"
import type { StoredResult } from "./task.js"

/** What became of one task, as it arrived. */
export interface Arrived {
  readonly task: string
  readonly result: StoredResult
  /** The span that sent it. */
  readonly traceparent?: string | undefined
}

/**
 * Whether what has come so far is enough.
 *
 * @returns a result for each task, in their order; `undefined` while more must come
 */
export function decide(wait: TaskWait, arrived: readonly Arrived[]): StoredResult[] | undefined {
  if (!isEnough(wait, arrived)) return undefined
  const message = "The others were enough: nobody waited for it"
  return results(wait, arrived, { code: "DELEGATE_UNANSWERED", message })
}

/** What a step goes on with when its time is up. */
export function decideAtDeadline(wait: TaskWait, arrived: readonly Arrived[]): StoredResult[] {
  return results(wait, arrived, { code: "DELEGATE_TIMEOUT", message: `No result had come by ${wait.until}` })
}

function isEnough({ mode, tasks }: TaskWait, arrived: readonly Arrived[]): boolean {
  const open = tasks.length - arrived.length
  if (open <= 0) return true
  const good = arrived.filter(({ result }) => result.ok).length
  switch (mode) {
    case "all":
      return false
    case "first":
      return good > 0
    case "majority":
      return isDecided(good, open, tasks.length)
    case "agreement":
      return isDecided(largestVote(arrived.map(({ result }) => result)).count, open, tasks.length)
  }
}

/** Whether so many are more than half, or can be no more. */
function isDecided(count: number, open: number, all: number): boolean {
  return isMajority(count, all) || !isMajority(count + open, all)
}

function results(
  { tasks }: TaskWait,
  arrived: readonly Arrived[],
  missing: { readonly code: string; readonly message: string },
): StoredResult[] {
  const came = new Map(arrived.map(({ task, result }) => [task, result]))
  return tasks.map(({ id, agent }) => {
    const none = { ok: false, error: { ...missing, message: `"${agent}": ${missing.message}` }, missing: true } as const
    return came.get(id) ?? none
  })
}
