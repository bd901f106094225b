import type { Pattern } from "./pattern.js"

const INBOX = "murmur.inbox."
const TASK = "murmur.task."
const RUN = "murmur.run."

/** Whether events of this type go to one agent's inbox (answers, due timers, results) and never through routes. */
export function isInboxType(type: string): boolean {
  return type.startsWith(INBOX)
}

/** Whether the pattern fits inbox types only, so that a route with it never gets an event. */
export function isInboxPattern(pattern: Pattern): boolean {
  return pattern.startsWith(INBOX)
}

/** The type of the tasks of an agent. */
export function taskType(agent: string): string {
  return TASK + agent
}

/** Whether events of this type are tasks of one agent. */
export function isTaskType(type: string): boolean {
  return type.startsWith(TASK)
}

/**
 * From which token of a type on wildcards fit it. A task is for one agent: only a route on that very type gets it. What
 * is told of runs goes to those who ask for it, `murmur.run.*`: an agent that thinks and listens to everything would
 * think about its own thinking.
 */
export function wildcardsFrom(type: string): number {
  if (isTaskType(type)) return Number.POSITIVE_INFINITY
  return type.startsWith(RUN) ? 2 : 0
}
