import type { TaskWait } from "../journal/records.js"
import type { StoredResult } from "./task.js"

/** What became of one task, as it arrived. */
export interface Arrived {
  readonly task: string
  readonly result: StoredResult
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
  if (mode === "first") return good > 0
  if (mode === "all") return false
  const needed = Math.floor(tasks.length / 2) + 1
  return good >= needed || good + open < needed
}

function results(
  { tasks }: TaskWait,
  arrived: readonly Arrived[],
  missing: { readonly code: string; readonly message: string },
): StoredResult[] {
  const came = new Map(arrived.map(({ task, result }) => [task, result]))
  return tasks.map(({ id, agent }) => {
    return came.get(id) ?? { ok: false, error: { ...missing, message: `"${agent}": ${missing.message}` } }
  })
}
