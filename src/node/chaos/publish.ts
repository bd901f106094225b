import { setTimeout as delay } from "node:timers/promises"
import type { Bus } from "../../bus/bus.js"
import { encode, seal } from "../../bus/encode.js"
import { DEMO, type Question } from "./demo.js"
import type { PlannedEvent } from "./plan.js"
import { unlessAborted } from "./waits.js"

/** What was published. */
export interface Published {
  /** Ids of the events that the server has acknowledged. */
  readonly accepted: readonly string[]
  /** Repeats that the server dropped, by their id. */
  readonly dropped: number
  /** Repeats that were stored again. */
  readonly storedAgain: number
}

/** Where the repeats of an event come, at the earliest: it is in the middle of its step by then. */
const REPEAT_AFTER_MS = 50

/** Publishes the events of a plan at their times. Resolves when the server has acknowledged all of them. */
export async function publishPlanned(
  bus: Bus,
  events: readonly PlannedEvent[],
  signal: AbortSignal,
): Promise<Published> {
  const began = performance.now()
  const accepted: string[] = []
  const count = { dropped: 0, storedAgain: 0 }
  const sending: Promise<void>[] = []
  for (const event of events) {
    const waitMs = began + event.atMs - performance.now()
    if (waitMs > 0) await delay(waitMs, undefined, { signal })
    const sent = send(bus, event, accepted, count, signal)
    sent.catch(() => {}) // told below
    sending.push(sent)
  }
  await unlessAborted(Promise.all(sending), signal)
  return { accepted, ...count }
}

async function send(
  bus: Bus,
  { n, key, again }: PlannedEvent,
  accepted: string[],
  count: { dropped: number; storedAgain: number },
  signal: AbortSignal,
): Promise<void> {
  const data: Question = { customer: key, n }
  const event = seal({ type: DEMO.asked, key, data, id: `question-${n}` }, { mesh: bus.names.mesh, producer: "cli" })
  await bus.publisher.store(event)
  accepted.push(event.id)
  if (again === "no") return
  await delay(REPEAT_AFTER_MS, undefined, { signal })
  if (again === "same-id") {
    if ((await bus.publisher.store(event)).duplicate) count.dropped += 1
    else count.storedAgain += 1
  } else {
    // without a message id, as if the dedup window were over: the id is in the body alone
    await bus.publisher.append(bus.names.publishSubject(event.producer, key, event.type), encode(event))
    count.storedAgain += 1
  }
}
