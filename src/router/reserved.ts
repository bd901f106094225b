import type { Pattern } from "./pattern.js"

const INBOX = "murmur.inbox."

/** Whether events of this type go to one agent's inbox (answers, due timers, delegated work) and never through routes. */
export function isInboxType(type: string): boolean {
  return type.startsWith(INBOX)
}

/** Whether the pattern fits inbox types only, so that a route with it never gets an event. */
export function isInboxPattern(pattern: Pattern): boolean {
  return pattern.startsWith(INBOX)
}
