import type { Pattern } from "./pattern.js"

const INBOX = "murmur.inbox."
const TASK = "murmur.task."

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

/** Whether events of this type are tasks of one agent: only a route on that very type gets them, no wildcard does. */
export function isTaskType(type: string): boolean {
  return type.startsWith(TASK)
}
