import { timeText } from "./clock.js"
import type { CommitRecord } from "./sessions/record.js"
import type { Session } from "./sessions/session.js"
import type { StepInput } from "./step-ports.js"

type Input = Pick<StepInput, "event" | "ordered" | "storedAtMs" | "sentBack">

/** The event of a step, as the records of its session name it. */
export function causeOf({ event, ordered, storedAtMs }: Input): CommitRecord["cause"] {
  return { id: event.id, type: event.type, seq: ordered ? event.seq : 0, at: timeText(storedAtMs) }
}

/** Whether the step's commit is there. */
export function isCommitted(session: Session, { event, ordered, storedAtMs }: Input): boolean {
  return session.causes.has({ id: event.id, seq: ordered ? event.seq : 0, storedAtMs })
}

/** Whether the step was given up, and not sent back since. */
export function isGivenUp(session: Session, { event, sentBack }: Input): boolean {
  const broughtBy = session.causes.givenUpBy(event.id)
  return broughtBy !== undefined && !(sentBack && event.seq > broughtBy)
}
