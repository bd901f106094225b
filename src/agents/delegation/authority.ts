import type { TaskWait } from "../journal/records.js"
import type { EventPort } from "../ports.js"
import type { Resume } from "../suspension.js"
import { type Handoff, handoffId } from "./task.js"

/** How far the clock of a node may be ahead of the server's. */
const CLOCK_SKEW_MS = 60_000

/** One of the tasks that are waited for. */
export type WaitedTask = TaskWait["tasks"][number]

/** What tells that a task has a result. */
export type ResultResume = Extract<Resume, { kind: "result" }>

/** The task that a result is about, if it is waited for. */
export function taskOf(wait: TaskWait, { task }: ResultResume): WaitedTask | undefined {
  return wait.tasks.find(({ id }) => id === task)
}

/**
 * Whether a producer may say what became of a task: the agent that it was given to, or one that it was handed to by an
 * agent that had it. Of each time that it was handed on the stream itself must tell.
 */
export async function mayReply(
  producer: string,
  { id, agent }: WaitedTask,
  { handoffs }: ResultResume,
  { events, from }: { readonly events: Pick<EventPort, "ids">; readonly from: string },
): Promise<boolean> {
  if ((handoffs.at(-1)?.agent ?? agent) !== producer) return false
  const since = new Date(Date.parse(from) - CLOCK_SKEW_MS)
  let holder = agent
  for (const [count, handoff] of handoffs.entries()) {
    if (!(await wasHanded(id, count, holder, handoff, { events, since }))) return false
    holder = handoff.agent
  }
  return true
}

async function wasHanded(
  task: string,
  count: number,
  from: string,
  { agent, key }: Handoff,
  { events, since }: { readonly events: Pick<EventPort, "ids">; readonly since: Date },
): Promise<boolean> {
  const wanted = handoffId(task, count, from, agent)
  for await (const id of events.ids(from, key, since)) if (id === wanted) return true
  return false
}
