import { BAGGAGE } from "../../bus/baggage.js"
import { readPath } from "../../bus/causal-path.js"
import type { EventDraft, MurmurEvent } from "../../bus/event.js"
import { derivedId } from "../../bus/ids.js"
import { errorCode } from "../../errors.js"
import { isTaskType } from "../../router/reserved.js"
import type { GivenUp } from "../dead-letters.js"
import { type OwedTask, owedFor, resultDraft } from "./duty.js"

const TEXT_CHARS_MAX = 4_000
const CODE_CHARS_MAX = 100

/** What is to be published when a task is given up. */
export interface FailureNotice {
  readonly draft: EventDraft
  /** The task: what the notice descends from. */
  readonly cause: MurmurEvent
}

/**
 * What whoever waits is told of a task that was given up; `undefined` when nobody waits, or when it is only parked: a
 * tree that has used up its budget goes on when somebody grants it more, so who waits goes on waiting until then, or
 * until its time is up.
 *
 * @param redact takes secrets out of what an error says
 */
export function failureNotice(given: GivenUp, redact: (text: string) => string): FailureNotice | undefined {
  const { agent, event, reason, error } = given
  if (!isTaskType(event.type) || reason === "budget") return undefined
  const owed = owedSafely(agent, event)
  if (owed === undefined) return undefined
  const code = redact(errorCode(error)).slice(0, CODE_CHARS_MAX)
  const message = redact(error.message).slice(0, TEXT_CHARS_MAX)
  const id = derivedId("result", owed.replyTo.task, agent, event.id, "given-up")
  return { draft: resultDraft(owed, { ok: false, error: { code, message } }, id), cause: causeOf(event) }
}

/** A task that somebody forged is nobody's. */
function owedSafely(agent: string, event: GivenUp["event"]): OwedTask | undefined {
  try {
    return owedFor(agent, { type: event.type, data: event.data, producer: event.producer })
  } catch {
    return undefined
  }
}

/** As much of the event as what descends from it inherits. */
function causeOf(event: GivenUp["event"]): MurmurEvent {
  const { id, source, type, time, producer, seq, correlationid, hops, trust, data } = event
  const { traceparent, tracestate } = event
  return {
    ...{ id, source, type, time, producer, seq, correlationid, hops, trust, data },
    extensions: typeof event.baggage === "string" ? { [BAGGAGE]: event.baggage } : {},
    key: event.subject,
    causationid: event.causationid,
    path: readPath(event.causalpath),
    trace: traceparent === undefined ? undefined : { traceparent, ...(tracestate !== undefined && { tracestate }) },
  }
}
